"""Who leads, and that an agent is alive."""

import asyncio
import datetime
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import event_loops
from fakes import api_objects, api_server
from fakes.api_objects import Json, Refusal
from lbctl.kube import leases, resources
from lbctl.kube.client import Client
from lbctl.kube.leases import Lock, LockTimes
from lbctl.plan import times

RULES = {rules.resource.plural: rules for rules in api_objects.KNOWN}
QUICK = LockTimes(duration_s=1.0, renew_s=0.01)
Body = Callable[[api_server.ApiServer, Client], Coroutine[Any, Any, None]]


def play(
    body: Body,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
) -> None:
    async def within() -> None:
        async with api_server.serving() as fake, Client(fake.cluster) as api:
            await body(fake, api)

    event_loops.run(within(), loop_factory)


def lock(api: Client, who: str, times: LockTimes = QUICK) -> Lock:
    return Lock(api, ("ns", "leader"), who, times)


def spec(fake: api_server.ApiServer, name: str = "leader") -> Json:
    found: Json = fake.objects.get(RULES["leases"], ("ns", name))["spec"]
    return found


def test_the_first_who_asks_holds_the_lock() -> None:
    async def body(fake: api_server.ApiServer, api: Client) -> None:
        first = lock(api, "a")
        assert first.held_for_s() <= 0
        await first.acquire()
        assert 0 < first.held_for_s() <= QUICK.duration_s
        held = spec(fake)
        assert (held["holderIdentity"], held["leaseTransitions"]) == ("a", 1)
        assert held["leaseDurationSeconds"] == 1

    play(body)


def test_while_one_holds_it_another_waits_and_follows_at_once_after_a_release() -> None:
    async def body(fake: api_server.ApiServer, api: Client) -> None:
        first, second = lock(api, "a"), lock(api, "b")
        await first.acquire()
        async with event_loops.running(second.acquire()) as (waiting,):
            await event_loops.until(lambda: fake.calls.count(fake.calls[0]) >= 3)
            assert not waiting.done()
            await first.release()
            assert first.held_for_s() <= 0
            await waiting
        assert second.held_for_s() > 0
        assert (spec(fake)["holderIdentity"], spec(fake)["leaseTransitions"]) == ("b", 2)

    play(body)


def test_a_lock_whose_holder_is_silent_is_taken_over_after_its_duration() -> None:
    async def body(fake: api_server.ApiServer, api: Client) -> None:
        await lock(api, "a").acquire()
        second = lock(api, "b")
        await second.acquire()
        assert spec(fake)["holderIdentity"] == "b"

    play(body, event_loops.Hurried)


def test_a_holder_that_renews_is_not_overtaken() -> None:
    async def body(fake: api_server.ApiServer, api: Client) -> None:
        first, second = lock(api, "a"), lock(api, "b")
        await first.acquire()
        renewed = spec(fake)["renewTime"]
        async with event_loops.running(first.keep(), second.acquire()) as (keeping, waiting):
            await event_loops.until(lambda: spec(fake)["renewTime"] != renewed)
            assert not keeping.done()
            assert not waiting.done()
        assert spec(fake)["leaseTransitions"] == 1

    play(body)


def test_a_holder_whom_another_replaced_stops_when_its_time_is_over() -> None:
    async def body(fake: api_server.ApiServer, api: Client) -> None:
        first = lock(api, "a", LockTimes(duration_s=0.05, renew_s=0.01))
        await first.acquire()
        taken = {"spec": {"holderIdentity": "b", "leaseDurationSeconds": 60, "renewTime": "now"}}
        await api.patch(resources.LEASES, "leader", taken, "ns")
        await first.keep()
        assert first.held_for_s() <= 0
        await first.release()
        assert spec(fake)["holderIdentity"] == "b"

    play(body)


@pytest.mark.parametrize("fault", ["unavailable", "silent"])
def test_a_holder_that_cannot_renew_stops_when_its_time_is_over(fault: str) -> None:
    async def body(fake: api_server.ApiServer, api: Client) -> None:
        first = lock(api, "a", LockTimes(duration_s=0.05, renew_s=0.01))
        await first.acquire()
        setattr(fake, fault, True)
        await first.keep()
        assert first.held_for_s() <= 0

    play(body)


def test_a_renewal_that_fails_once_costs_nothing() -> None:
    async def body(fake: api_server.ApiServer, api: Client) -> None:
        first = lock(api, "a")
        await first.acquire()
        renewed = spec(fake)["renewTime"]
        fake.refuse("PUT", "leader", Refusal(503, "ServiceUnavailable", "once"))
        async with event_loops.running(first.keep()) as (keeping,):
            await event_loops.until(lambda: spec(fake)["renewTime"] != renewed)
            assert not keeping.done()

    play(body)


def test_a_release_that_fails_raises_nothing() -> None:
    async def body(fake: api_server.ApiServer, api: Client) -> None:
        first = lock(api, "a")
        await first.acquire()
        fake.unavailable = True
        await first.release()
        assert first.held_for_s() <= 0

    play(body)


def test_a_holder_that_returns_under_its_name_goes_on() -> None:
    async def body(fake: api_server.ApiServer, api: Client) -> None:
        await lock(api, "a").acquire()
        since = spec(fake)["acquireTime"]
        await lock(api, "a").acquire()
        assert (spec(fake)["acquireTime"], spec(fake)["leaseTransitions"]) == (since, 1)

    play(body)


def test_a_lease_without_a_spec_may_be_taken() -> None:
    async def body(fake: api_server.ApiServer, api: Client) -> None:
        await api.create(resources.LEASES, {"metadata": {"name": "leader"}}, "ns")
        await lock(api, "a").acquire()
        assert spec(fake)["holderIdentity"] == "a"

    play(body)


# --- heartbeats ---------------------------------------------------------------------------------


def test_a_heartbeat_makes_its_lease_and_renews_it() -> None:
    async def body(fake: api_server.ApiServer, api: Client) -> None:
        async with event_loops.running(leases.heartbeat(api, "ns", "beat", "node-1", 0.01)):
            await event_loops.until(lambda: "create leases beat" in fake.objects.writes)
            first = spec(fake, "beat")
            assert first["holderIdentity"] == "node-1"
            await event_loops.until(lambda: spec(fake, "beat")["renewTime"] != first["renewTime"])

    play(body)


def test_a_heart_goes_on_beating_after_a_failure() -> None:
    async def body(fake: api_server.ApiServer, api: Client) -> None:
        fake.refuse("PATCH", "beat", Refusal(503, "ServiceUnavailable", "once"))
        async with event_loops.running(leases.heartbeat(api, "ns", "beat", "node-1", 0.01)):
            await event_loops.until(lambda: "create leases beat" in fake.objects.writes)

    play(body)


def test_moments_are_micro_times_in_utc() -> None:
    east = datetime.timezone(datetime.timedelta(hours=1))
    moment = datetime.datetime(2026, 11, 21, 13, 0, 0, 5, tzinfo=east)
    assert times.render(moment) == "2026-11-21T12:00:00.000005Z"


def test_waiting_for_a_lock_ends_with_its_cancellation() -> None:
    async def body(fake: api_server.ApiServer, api: Client) -> None:
        await lock(api, "a").acquire()
        waiting = asyncio.ensure_future(lock(api, "b").acquire())
        await event_loops.turns()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    play(body)
