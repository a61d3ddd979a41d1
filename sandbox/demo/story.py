"""The story that `make demo` tells: two operators, sessions that come and go, a leader that is killed in the middle.

Told on `sandbox.stage`, shown on `board`. It ends with one line that counts what is left of ours, what of the foreign
changed and what it cost; the exit code is 1 if the world is not as it should be.
"""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sandbox import stage as stages
from sandbox.demo.board import Board
from sandbox.stage import Stage

_T = TypeVar("_T")

SESSIONS = ("8b6cc2aa9a45", "1f0e9d8c7b6a", "0a1b2c3d4e5f", "deadbeef0001")
LATE_SESSIONS = ("c0ffee000001", "c0ffee000002", "c0ffee000003", "c0ffee000004")
LATENCY = 0.25  # seconds for each Cloudflare call: about what the real one takes, and slow enough to watch
PATIENCE = 30.0  # seconds for each part of the story
LOOK = 0.05  # seconds between two looks at the Pods


class DisappointedError(Exception):
    """Something did not happen in time."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `python -m sandbox demo` takes."""
    parser.add_argument("--keep", action="store_true", help="stay up in the end, and print how to look around")


async def serve(args: argparse.Namespace) -> int:
    """Tell the story; returns the exit code."""
    async with stages.running() as stage:
        story = _Story(stage, Board())
        try:
            return await story.tell(keep=args.keep)
        except DisappointedError as error:
            sys.stdout.write(f"\nnot as it should be: {error}\n")
            for replica in stage.operators:
                sys.stdout.write(f"\n--- {replica.name}\n{replica.log.read_text()[-3000:]}\n")
            return 1


class _Story:
    def __init__(self, stage: Stage, board: Board) -> None:
        self._stage = stage
        self._board = board
        self._foreign = ""

    async def tell(self, *, keep: bool) -> int:
        await self._set_the_scene()
        await self._sessions_come()
        await self._the_leader_is_killed()
        if keep:
            await self._stay()
        await self._sessions_go()
        return await self._count()

    async def _set_the_scene(self) -> None:
        stage = self._stage
        stages.seed_foreign(stage.world)
        await stage.kube.create_route(stages.FOREIGN_ROUTE)
        self._foreign = await stage.foreign()
        stage.switchboard.latency = LATENCY
        for name in ("operator-a", "operator-b"):
            await stage.start(name)
        leader = await self._until(stage.leader, "nobody leads")
        self._board.heading(
            f"Two operators run, {leader.name} leads. Foreign records, rules and routes are there."
        )

    async def _sessions_come(self) -> None:
        self._board.heading(f"{len(SESSIONS)} session Pods appear; each walks through the states:")
        for session in SESSIONS:
            await self._stage.kube.create_session(session)
        await self._until(lambda: self._are_ready(SESSIONS), "not all sessions became Ready")
        status, text = await self._stage.visit(SESSIONS[0], "/hello")
        host = f"{SESSIONS[0]}{stages.SUFFIX}.{stages.DOMAIN}"
        self._board.line(f"GET https://{host}/hello by way of edge, record and rule: {status} {text.strip()}")
        if status != 200 or SESSIONS[0] not in text:
            raise DisappointedError(f"the request for {host} was answered with {status}")

    async def _the_leader_is_killed(self) -> None:
        self._board.heading(f"{len(LATE_SESSIONS)} more appear, and the leader is killed (-9) while it works on them:")
        for session in LATE_SESSIONS:
            await self._stage.kube.create_session(session)
        await self._until(lambda: self._is_any(LATE_SESSIONS, "DnsCreated"), "no session got as far as DnsCreated")
        victim = await self._until(self._stage.leader, "nobody leads")
        await victim.kill()
        self._board.line(f"{victim.name} killed")
        await self._until(lambda: self._are_ready(LATE_SESSIONS), "the other operator did not finish the work")
        heir = await self._until(self._stage.leader, "nobody leads")
        self._board.line(f"{heir.name} took over and finished")

    async def _sessions_go(self) -> None:
        self._board.heading("All session Pods are deleted; routes go first, records last:")
        for session in (*SESSIONS, *LATE_SESSIONS):
            await self._stage.kube.delete_session(session)
        await self._until(self._is_all_gone, "something of ours is left")

    async def _count(self) -> int:
        left = await self._stage.left()
        is_untouched = await self._stage.foreign() == self._foreign
        self._board.heading(
            f"left of ours: {len(left)}, foreign objects changed: {'nothing' if is_untouched else 'SOMETHING'}, "
            f"Cloudflare calls for {len(SESSIONS) + len(LATE_SESSIONS)} sessions up and down: "
            f"{self._stage.switchboard.total}"
        )
        return 0 if is_untouched and not left else 1

    async def _stay(self) -> None:
        stage = self._stage
        session = SESSIONS[0]
        self._board.heading(
            "It stays up until Ctrl-C. Look around:\n"
            f"  kubectl --server {stage.kube_url} -n {stage.kube.namespace} get pods\n"
            f"  kubectl --server {stage.kube_url} -n {stage.kube.namespace} describe pod opencode-session-{session}\n"
            f"  kubectl --server {stage.kube_url} -n {stage.kube.namespace} get ingressroutes\n"
            f"  curl -H 'Host: {session}{stages.SUFFIX}.{stages.DOMAIN}' {stage.cloudflare.edge}/\n"
            f"  curl {stage.cloudflare.control}/world\n"
            f"  the operators' logs: {stage.folder}"
        )
        await asyncio.Event().wait()

    async def _are_ready(self, sessions: tuple[str, ...]) -> bool:
        states = await self._look()
        return all(states.get(session) == "Ready" for session in sessions)

    async def _is_any(self, sessions: tuple[str, ...], state: str) -> bool:
        states = await self._look()
        return any(states.get(session) == state for session in sessions)

    async def _is_all_gone(self) -> bool:
        await self._look()
        left = await self._stage.left()
        for session in (*SESSIONS, *LATE_SESSIONS):
            if not any(session in name for name in left):
                self._board.gone(session)
        return not left

    async def _look(self) -> dict[str, str]:
        """The state of every session, and a line in the table for what is new."""
        found = await self._stage.kube.annotations()
        for session, annotations in found.items():
            self._board.saw(session, annotations)
        self._board.draw()
        return {session: annotations.get("state", "") for session, annotations in found.items()}

    async def _until(self, look: Callable[[], Awaitable[_T | None]], disappointment: str) -> _T:
        """What `look` finds, as soon as it finds anything. Raises DisappointedError when it takes too long."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not (found := await look()):
                    await asyncio.sleep(LOOK)
                return found
        except TimeoutError:
            raise DisappointedError(disappointment) from None
