"""The sandbox is no bottleneck: thousands of records, a thousand requests, and no copies of what is not asked for."""

from sandbox.cloudflare.envelope import Reply, Request
from sandbox.cloudflare.world import TOKEN, World
from tests.contract.cloudflare.support import cname, serving

MANY = 5_000


def ask(world: World, method: str, part: str = "", body: object = None, **query: str) -> Reply:
    headers = {"authorization": f"Bearer {TOKEN}"}
    return world.handle(Request(method, f"/zones/{world.zone_id}/dns_records{part}", query, headers, body), 0.0)


def full_world() -> World:
    world = World(plan="pro", quota=2 * MANY, rate_limit=1_000_000)
    for start in range(0, MANY, 1_000):
        posts = [cname(f"n{number}", comment=f"mark {number}") for number in range(start, start + 1_000)]
        assert ask(world, "POST", "/batch", {"posts": posts}).status == 200
    return world


def test_a_thousand_changes_and_lists_of_five_thousand_records_are_quick_in_one_process() -> None:
    world = full_world()
    for number in range(1_000):
        made = ask(world, "POST", "/batch", {"posts": [cname(f"extra{number}")]}).body["result"]["posts"][0]
        assert ask(world, "GET", f"/{made['id']}").status == 200
    for _ in range(20):
        reply = ask(world, "GET", type="CNAME", **{"comment.startswith": "mark", "per_page": str(MANY)})
        assert len(reply.body["result"]) == MANY


def test_a_batch_that_fails_among_thousands_leaves_them_the_very_same() -> None:
    world = full_world()
    before = world.records.all()
    deletes = [{"id": record["id"]} for record in before[:100]]
    assert ask(world, "POST", "/batch", {"deletes": deletes, "posts": [cname("n200")]}).status == 400
    after = world.records.all()
    assert len(after) == MANY
    assert all(one is other for one, other in zip(before, after, strict=True))
    assert [record["name"] for record in world.records.at("n7.example.org")] == ["n7.example.org"]


async def test_a_thousand_requests_and_a_whole_list_come_over_http() -> None:
    async with serving(full_world()) as api:
        for _ in range(1_000):
            assert (await api.ask("GET", f"{api.records}/usage")).result["record_usage"] == MANY
        everything = await api.find(type="CNAME", comment_startswith="mark", per_page=str(MANY))
        assert len(everything.result) == MANY
