"""An agent is alive while we see its Lease move, by our own clock."""

from typing import Any

import event_loops
from lbctl.engine.liveness import Liveness
from lbctl.kube.store import Change

LONG_S = 3600


def lease(renewed: str, duration_s: float | None = LONG_S, node: str = "node-1") -> dict[str, Any]:
    meta = {"name": f"lbctl-agent-{node}", "namespace": "lbctl-system"}
    return {"metadata": meta, "spec": {"renewTime": renewed, "leaseDurationSeconds": duration_s}}


def change(old: dict[str, Any] | None, new: dict[str, Any] | None) -> Change:
    known = old or new
    assert known is not None
    meta = known["metadata"]
    return Change(f"{meta['namespace']}/{meta['name']}", old, new)


def counted(liveness: Liveness) -> list[None]:
    """Return the list that grows with each notification."""
    heard: list[None] = []
    liveness.subscribe(lambda: heard.append(None))
    return heard


def test_an_agent_comes_to_life_with_its_lease_and_dies_with_it() -> None:
    async def body() -> None:
        liveness = Liveness()
        heard = counted(liveness)
        assert not liveness.live("node-1")
        liveness.seen(change(None, lease("1")))
        assert liveness.live("node-1")
        assert not liveness.live("node-2")
        liveness.seen(change(lease("1"), None))
        assert not liveness.live("node-1")
        assert len(heard) == 2

    event_loops.run(body())


def test_a_renewal_is_no_news_but_prolongs_life() -> None:
    async def body() -> None:
        liveness = Liveness()
        heard = counted(liveness)
        liveness.seen(change(None, lease("1", 0.01)))
        liveness.seen(change(lease("1"), lease("2")))
        assert len(heard) == 1
        liveness.seen(change(None, lease("1", 0.02, "node-2")))
        await event_loops.until(lambda: not liveness.live("node-2"))
        assert liveness.live("node-1")

    event_loops.run(body())


def test_an_agent_that_does_not_renew_is_given_up() -> None:
    async def body() -> None:
        liveness = Liveness()
        heard = counted(liveness)
        liveness.seen(change(None, lease("1", 0.01)))
        await event_loops.until(lambda: not liveness.live("node-1"))
        assert len(heard) == 2

    event_loops.run(body())


def test_a_change_that_is_no_renewal_brings_nobody_back() -> None:
    async def body() -> None:
        liveness = Liveness()
        liveness.seen(change(None, lease("1", 0.01)))
        await event_loops.until(lambda: not liveness.live("node-1"))
        liveness.seen(change(lease("1"), lease("1")))
        assert not liveness.live("node-1")
        liveness.seen(change(lease("1"), lease("2")))
        assert liveness.live("node-1")

    event_loops.run(body())


def test_the_end_of_a_lease_that_had_run_out_is_no_news() -> None:
    async def body() -> None:
        liveness = Liveness()
        liveness.seen(change(None, lease("1", 0.01)))
        await event_loops.until(lambda: not liveness.live("node-1"))
        heard = counted(liveness)
        liveness.seen(change(lease("1"), None))
        assert heard == []

    event_loops.run(body())


def test_a_lease_without_a_duration_lasts_a_second() -> None:
    async def body() -> None:
        liveness = Liveness()
        liveness.seen(change(None, lease("1", None)))
        assert liveness.live("node-1")

    event_loops.run(body())


def test_leases_of_others_are_passed_over() -> None:
    async def body() -> None:
        liveness = Liveness()
        heard = counted(liveness)
        leader = {"metadata": {"name": "lbctl-controller", "namespace": "lbctl-system"}}
        liveness.seen(change(None, leader))
        assert heard == []

    event_loops.run(body())
