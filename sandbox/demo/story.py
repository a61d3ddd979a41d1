"""The story that `make demo` tells: two operators, sessions that come and go, a leader that is killed in the middle.

Told on `sandbox.stage`, shown on `board`. It ends with one line that counts what is left of ours, what of the foreign
changed and what it cost; the exit code is 1 if the world is not as it should be.
"""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

from controller.background import background
from fsm.session import HASH_LABEL
from sandbox import stage as stages
from sandbox.demo.board import Board
from sandbox.kubeclient import ours
from sandbox.stage import Stage

_T = TypeVar("_T")

SESSIONS = ("8b6cc2aa9a45", "1f0e9d8c7b6a", "0a1b2c3d4e5f", "deadbeef0001")
LATE_SESSIONS = ("c0ffee000001", "c0ffee000002", "c0ffee000003", "c0ffee000004")
ALL = (*SESSIONS, *LATE_SESSIONS)
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
        self._states: dict[str, str] = {}

    async def tell(self, *, keep: bool) -> int:
        async with background(self._follow):
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
        self._board.heading(f"Two operators run, {leader.name} leads. Foreign records, rules and routes are there.")

    async def _sessions_come(self) -> None:
        self._board.heading(f"{len(SESSIONS)} session Pods appear; each walks through the states:", SESSIONS)
        await self._create(SESSIONS)
        await self._until(lambda: self._are(SESSIONS, "Ready"), "not all sessions became Ready")
        self._board.close()
        status, text = await self._stage.visit(SESSIONS[0], "/hello")
        host = f"{SESSIONS[0]}{stages.SUFFIX}.{stages.DOMAIN}"
        self._board.line(f"GET https://{host}/hello, by way of edge, record and rule: {status} {text.strip()}")
        if status != 200 or SESSIONS[0] not in text:
            raise DisappointedError(f"the request for {host} was answered with {status}")

    async def _the_leader_is_killed(self) -> None:
        text = f"{len(LATE_SESSIONS)} more appear, and the leader is killed (-9) while it works on them:"
        self._board.heading(text, LATE_SESSIONS)
        await self._create(LATE_SESSIONS)
        await self._until(self._is_half_way, "no session got as far as DnsCreated")
        victim = await self._until(self._stage.leader, "nobody leads")
        await victim.kill()
        await self._until(lambda: self._are(LATE_SESSIONS, "Ready"), "the other operator did not finish the work")
        self._board.close()
        heir = await self._until(self._stage.leader, "nobody leads")
        self._board.line(f"{victim.name} was killed, {heir.name} took over and finished")

    async def _sessions_go(self) -> None:
        self._board.heading("All session Pods are deleted; routes go first, then rules, records last:", ALL)
        for session in ALL:
            await self._stage.kube.delete_session(session)
        await self._until(self._is_nothing_left, "something of ours is left")
        for session in ALL:
            await self._stage.kube.end_session(session)
        self._board.close()

    async def _count(self) -> int:
        left = await self._stage.left()
        is_untouched = await self._stage.foreign() == self._foreign
        self._board.heading(
            f"left of ours: {len(left)}, foreign objects changed: {'nothing' if is_untouched else 'SOMETHING'}, "
            f"Cloudflare calls for {len(ALL)} sessions up and down: {self._stage.switchboard.total}"
        )
        return 0 if is_untouched and not left else 1

    async def _stay(self) -> None:
        stage, session = self._stage, SESSIONS[0]
        kubectl = f"kubectl --server {stage.kube_url} -n {stage.kube.namespace}"
        self._board.heading(
            "It stays up until Ctrl-C. Look around:\n"
            f"  {kubectl} get pods\n"
            f"  {kubectl} describe pod opencode-session-{session}\n"
            f"  {kubectl} get ingressroutes\n"
            f"  curl -H 'Host: {session}{stages.SUFFIX}.{stages.DOMAIN}' {stage.cloudflare.edge}/\n"
            f"  curl {stage.cloudflare.control}/world\n"
            f"  the operators' logs: {stage.folder}"
        )
        await asyncio.Event().wait()

    async def _create(self, sessions: tuple[str, ...]) -> None:
        for session in sessions:
            await self._stage.kube.create_session(session, node="node-1")

    async def _follow(self) -> None:
        """Every change of every session Pod, onto the board."""
        async for pod in self._stage.kube.watch():
            session, annotations = pod["metadata"]["labels"][HASH_LABEL], ours(pod)
            self._states[session] = annotations.get("state", "")
            self._board.saw(session, self._states[session], annotations.get("last-error", ""))

    async def _are(self, sessions: tuple[str, ...], state: str) -> bool:
        return all(self._states.get(session) == state for session in sessions)

    async def _is_half_way(self) -> bool:
        return any(self._states.get(session) == "DnsCreated" for session in LATE_SESSIONS)

    async def _is_nothing_left(self) -> bool:
        left = await self._stage.left()
        for session in ALL:
            if not any(session in name for name in left):
                self._board.saw(session, "gone")
        return not left

    async def _until(self, look: Callable[[], Awaitable[_T | None]], disappointment: str) -> _T:
        """What `look` finds, as soon as it finds anything. Raises DisappointedError when it takes too long."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not (found := await look()):
                    await asyncio.sleep(LOOK)
                return found
        except TimeoutError:
            raise DisappointedError(disappointment) from None
