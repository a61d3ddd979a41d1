"""Fixtures for every folder: a plugin has to be named in the topmost conftest."""

pytest_plugins = ["tests.controlplane.plugin"]
