"""How every story ends: the faults stop, the world becomes exactly what it should be, and then nobody writes any more.

`test_simulation` asks `what_is_wrong` again and again until there is nothing, and then whether anything is `stuck`.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

from cloudflare_ops import ownership
from cloudflare_ops.ingress import plain
from cloudflare_ops.ownership import ORIGINAL_COMMENT
from fsm.desired import desired
from fsm.session import OWNER_LABEL, PREFIX, hash_of_hostname, hash_of_route
from fsm.states import State
from tests.property.simulation import moving
from tests.property.simulation.names import CROWD, FOREIGN_SERVICE, HASHES, NEIGHBOUR
from tests.property.simulation.simulation import CONCURRENT_WRITES, Replica, Simulation

SESSIONS = (*HASHES, *CROWD, NEIGHBOUR)


def let_the_faults_stop(sim: Simulation) -> None:
    """Everybody is well, reachable, and runs with the newest settings; Pods that are going are gone."""
    sim.monitor.tell("fate", "all faults stop")
    sim.calm()
    _let_people_help(sim)
    for replica in sim.replicas:
        if replica.is_paused:
            sim.resume(replica)
    if not sim.alive():
        sim.start()
    if sim.alive(is_neighbour=True) or sim.pods_of(NEIGHBOUR) or NEIGHBOUR in ours_left(sim):
        sim.start(is_neighbour=True)
    for session in SESSIONS:
        if sim.pods_of(session):
            if sim.random.random() < 0.7:  # a Pod on a lost node goes on going
                sim.end_pods(session)
            if session != NEIGHBOUR:
                sim.relabel(session, "opencode-router")


def _let_people_help(sim: Simulation) -> None:
    if sim.random.random() < 0.5:
        sim.raise_quota()
    if sim.random.random() < 0.5:
        moving.remove_stranded(sim)


def what_is_wrong(sim: Simulation) -> list[str]:
    """What is not yet as it should be."""
    live, left = live_sessions(sim), ours_left(sim)
    wrong = [text for session in sorted(live) if (text := _wrong_with(sim, session, left.get(session, set())))]
    wrong += [f"{session} is dead and has {left[session]}" for session in sorted(left.keys() - live)]
    return wrong + [f"{session} is dead and waits to be tried again" for session in sorted(_waiting(sim) - live)]


def _waiting(sim: Simulation) -> set[str]:
    """Those whose teardown has met an error: it is tried again, and then the record is written once more."""
    # On the newest Pod: one that it has replaced keeps what it said last.
    newest = dict(sorted(sim.monitor.pods(), key=lambda found: _age(found[1])))
    return {
        session
        for session, record in ((session, _record_of(pod)) for session, pod in newest.items())
        if record.get("state") == State.TEARING_DOWN.value
        and not record.get("last-error", "RecordUnreadable").startswith("RecordUnreadable")
    }


def tries_for_room(sim: Simulation) -> tuple[str, ...]:
    """How the writes begin of those who wait for room in a full zone: they have to try."""
    pods = [pod for _, pod in sim.monitor.pods() if _record_of(pod).get("last-error", "").startswith("RecordQuota")]
    paths = [f"{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}" for pod in pods]
    tries = ("POST posts", "POST /apis/events", "PATCH /apis/events", *(f"PATCH /api/v1/namespaces/{p}" for p in paths))
    return tries if _is_full(sim) and pods else ()


def _is_full(sim: Simulation) -> bool:
    return len(sim.world.records.all()) >= sim.world.records.quota


def stuck(sim: Simulation) -> list[str]:
    """Tasks and locks of replicas in which somebody is still at work."""
    found = [f"replica {replica.number} does not stop" for replica in sim.replicas if _lingers(replica)]
    for replica in sim.replicas:
        if replica.is_alive:
            names = [task.get_name() for task in sim.tasks_of(replica)]
            found += [
                f"replica {replica.number}: {name}"
                for name in names
                if name.startswith(("session ", "look", "live read"))
            ]
            found += [f"replica {replica.number}: {path} is locked" for path in _locked(replica)]
    return found


def _lingers(replica: Replica) -> bool:
    return replica.stop.is_set() and not (replica.is_killed or replica.is_paused or replica.task.done())


def live_sessions(sim: Simulation) -> set[str]:
    """The hashes with a live Pod."""
    return {session for session, pod in sim.monitor.pods() if not pod["metadata"].get("deletionTimestamp")}


def ours_left(sim: Simulation) -> dict[str, set[str]]:
    """What there is of any instance's, by hash: neither foreign things, nor what the original operator left."""
    left: dict[str, set[str]] = {}
    for kind, name, session in (*_records(sim), *_rules(sim), *_routes(sim)):
        left.setdefault(session, set()).add(f"{kind} {name}")
    return left


def _records(sim: Simulation) -> Iterator[tuple[str, str, str]]:
    stranded = moving.stranded(sim)
    for record in sim.world.records.all():
        session = hash_of_hostname(str(record["name"]))
        is_ours = record["id"] not in sim.monitor.foreign_records and record["comment"] != ORIGINAL_COMMENT
        if session and is_ours and record not in stranded:
            yield "record", record["name"], session


def _rules(sim: Simulation) -> Iterator[tuple[str, str, str]]:
    live, stranded = live_sessions(sim), moving.stranded(sim)
    for rule in sim.monitor.rules():
        session = hash_of_hostname(str(rule.get("hostname")))
        own = plain(rule)
        if session and own and not sim.monitor.is_foreign_rule(rule):
            # A record that is not ours stands for a rule that is not ours.
            is_claimed = any(
                record["id"] in sim.monitor.foreign_records
                or record["comment"] == ORIGINAL_COMMENT
                or record in stranded
                for record in sim.world.records.at(own.hostname)
            )
            is_wanted = session in live and own.hostname == sim.hostname_of(session)
            is_known = own not in sim.monitor.put_back and _is_known(sim, session, own.service)
            is_unknown = own.service in sim.former_services and not is_known
            if is_wanted or not (is_claimed or is_unknown):
                yield "rule", own.hostname, session


def _is_known(sim: Simulation, session: str, service: str) -> bool:
    """Whether who leads sees the session's Pod, or has seen it go, and its record names this service: a rule itself
    carries no mark. A record of a forgotten owner may have stood for it then."""
    is_ours = not any(sim.is_forgotten(session, owner) for owner in sim.monitor.beside[session])
    uids, saw_go = sim.monitor.uids[session], sim.monitor.saw_go
    leaders = [replica.number for replica in sim.alive() if replica.operator.term]
    is_seen = bool(sim.pods_of(session)) or any((number, uid) in saw_go for number in leaders for uid in uids)
    return is_ours and is_seen and service in sim.monitor.services[session]


def _routes(sim: Simulation) -> Iterator[tuple[str, str, str]]:
    for name, route in sim.monitor.routes().items():
        session, labels = hash_of_route(name), route["metadata"].get("labels") or {}
        if session and OWNER_LABEL in labels and not sim.is_forgotten(session, labels[OWNER_LABEL]):
            yield "route", name, session


def _wrong_with(sim: Simulation, session: str, left: set[str]) -> str:
    newest = max((pod for pod in sim.pods_of(session) if not pod["metadata"].get("deletionTimestamp")), key=_age)
    record, problems = _record_of(newest), _problems_of(sim, session)
    reason = record.get("last-error", "").partition(":")[0]
    if record.get("retry-at"):
        return f"{session} waits: {record}"
    if problems:
        return "" if reason in problems else f"{session} does not say one of {problems}: {record}"
    if record.get("state") != "Ready":
        return f"{session} is not Ready: {record}"
    if left != _wanted(sim, session):
        return f"{session} has {left}"
    if spoilt := list(_spoilt(sim, session)):
        return f"{session} is Ready, but not as wanted: {spoilt}"
    return "" if record.get("hostname") == sim.hostname_of(session) else f"{session} has another hostname: {record}"


def _spoilt(sim: Simulation, session: str) -> Iterator[Any]:
    """Its objects that have another content than they should."""
    profile = sim.profile_of(session)
    wanted, routes = desired(session, profile), sim.monitor.routes()
    for record in wanted.records:
        right = {"type": "CNAME", "content": record.content, "ttl": 1, "proxied": True}
        right |= {"comment": ownership.render(profile.owner)}
        yield from (it for it in sim.world.records.at(record.name) if right.items() - {k: it[k] for k in right}.items())
    for rule in wanted.rules:
        found = [it for it in sim.monitor.rules() if it.get("hostname") == rule.hostname]
        yield from (it for it in found if it != {"hostname": rule.hostname, "service": rule.service})
    hidden = sim.monitor.hidden(sim.monitor.rules())
    yield from (rule for rule in wanted.rules if rule.hostname in hidden)
    for route in wanted.routes:
        it, labels = routes[route.name], route.manifest["metadata"]["labels"]
        if it["spec"] != route.manifest["spec"] or labels.items() - it["metadata"]["labels"].items():
            yield it


def has_loose_ends(sim: Simulation) -> bool:
    """Whether something is still written when all is well: who told one problem before the other could be seen tells
    the other once it is; and a neighbour may have the owner id that was forgotten, so that its sweep removes what is
    nobody's here."""
    has_several = any(len(_problems_of(sim, session)) > 1 for session in live_sessions(sim))
    is_stranded = bool(moving.stranded(sim) or moving.stranded_routes(sim))
    return has_several or (is_stranded and bool(sim.alive(is_neighbour=True)))


def _problems_of(sim: Simulation, session: str) -> set[str]:
    """The reasons that a session may give for not being Ready; empty when it has to be."""
    name, problems = sim.hostname_of(session), set()
    records = sim.world.records.at(name)
    stranded = moving.stranded(sim)
    if any(record["id"] in sim.monitor.foreign_records or record in stranded for record in records):
        problems.add("RecordConflict")
    rules = [plain(rule) for rule in sim.monitor.rules() if rule.get("hostname") == name]
    services = {rule.service if rule else FOREIGN_SERVICE for rule in rules}
    # A rule carries no mark: one of a former service is known to be ours by the record alone.
    if services & {FOREIGN_SERVICE, *(sim.former_services - sim.monitor.services[session])}:
        problems.add("RuleConflict")
    wanted = desired(session, sim.profile_of(session))
    foreign = {*sim.monitor.foreign_routes, *moving.stranded_routes(sim)}
    if any(route.name in foreign for route in wanted.routes):
        problems.add("RouteConflict")
    if not records and _is_full(sim):
        problems.add("RecordQuotaExceeded")
    return problems


def _wanted(sim: Simulation, session: str) -> set[str]:
    wanted = desired(session, sim.profile_of(session))
    names = {f"record {wanted.hostname}", f"rule {wanted.hostname}"}
    return names | {f"route {route.name}" for route in wanted.routes}


def _record_of(pod: Any) -> dict[str, str]:
    """Our annotations of a Pod, without the prefix."""
    found = pod["metadata"].get("annotations") or {}
    return {key.removeprefix(PREFIX): text for key, text in found.items() if key.startswith(PREFIX)}


def _age(pod: Any) -> tuple[str, str]:
    return pod["metadata"]["creationTimestamp"], pod["metadata"]["uid"]


def _locked(replica: Replica) -> Iterator[str]:
    """Every lock in the replica's own objects that somebody holds, every semaphore that is not whole, by its path."""
    seen: set[int] = set()
    todo: list[tuple[str, object]] = [("operator", replica.operator)]
    while todo:
        path, thing = todo.pop()
        if isinstance(thing, asyncio.Lock):
            if thing.locked():
                yield path
        elif isinstance(thing, asyncio.Semaphore):
            if thing._value != CONCURRENT_WRITES:
                yield path
        elif id(thing) not in seen and type(thing).__module__.partition(".")[0] in (
            "controller",
            "cloudflare_ops",
            "k8s",
        ):
            seen.add(id(thing))
            slots = getattr(thing, "__dict__", {})
            todo += [(f"{path}.{name}", value) for name, value in slots.items()]
