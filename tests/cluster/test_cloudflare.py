"""The Cloudflare of the cluster tests ends with its test, also with one that fails."""

import socket

import pytest
from yarl import URL

from sandbox.cloudflare.world import World
from tests.cluster.cloudflare import cloudflare


def test_nobody_listens_any_more_after_a_test_that_failed() -> None:
    places = []

    def fail() -> None:
        with cloudflare(World()) as running:
            places.append(URL(running.places.api))
            raise AssertionError

    with pytest.raises(AssertionError):
        fail()
    [place] = places
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((str(place.host), int(place.port or 0)), timeout=5)
