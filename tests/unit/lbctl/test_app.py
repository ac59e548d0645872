"""How the controller is wired: what settings become, and what happens when it cannot go on."""

import asyncio
from pathlib import Path

import pytest

import controller_bed
import event_loops
from lbctl import app
from lbctl.engine import loop
from lbctl.kube import resources
from lbctl.kube.leases import Lock, LockTimes
from lbctl.model import errors
from lbctl.settings import Settings


def test_settings_become_the_rules_that_decisions_follow() -> None:
    rules = app.rules_of(controller_bed.SETTINGS)
    assert [pool.name for pool in rules.pools] == ["default"]
    assert [entry.family for entry in rules.pools[0].ranges] == [4, 6]
    assert rules.naming.cluster == "lab"
    assert rules.naming.subdomain == "lb.example"
    assert rules.ownership.default_class


def test_without_a_subdomain_services_get_no_name() -> None:
    assert app.rules_of(Settings()).naming.subdomain == ""


def test_a_kubeconfig_that_does_not_load_ends_the_controller(tmp_path: Path) -> None:
    with pytest.raises(errors.Misconfigured, match="absent"):
        event_loops.run(app.run_controller(Settings(), tmp_path / "absent"))


def test_the_lease_is_given_up_on_the_way_out(tmp_path: Path) -> None:
    async def body() -> None:
        async with controller_bed.bed(tmp_path) as bed:
            async with event_loops.running(bed.controller()):
                await bed.create()
                await bed.until(lambda: bool(bed.ingress()))
                lease = bed.find(resources.LEASES, "lbctl-controller", controller_bed.NAMESPACE)
                assert lease is not None
                assert lease["spec"]["holderIdentity"]
            lease = bed.find(resources.LEASES, "lbctl-controller", controller_bed.NAMESPACE)
            assert lease is not None
            assert lease["spec"]["holderIdentity"] == ""

    event_loops.run(body())


def test_nothing_is_decided_before_every_cache_is_filled(tmp_path: Path) -> None:
    async def body() -> None:
        async with controller_bed.bed(tmp_path) as bed:
            await bed.create()
            bed.fake.unavailable_for = "servingnodes"
            async with event_loops.running(bed.controller()):
                await event_loops.until(
                    lambda: sum("servingnodes" in call for call in bed.fake.calls) >= 2
                )
                assert (
                    bed.find(resources.LEASES, "lbctl-controller", controller_bed.NAMESPACE) is None
                )
                assert bed.holders() == {}
                bed.fake.unavailable_for = ""
                await bed.until(lambda: bool(bed.ingress()))

    event_loops.run(body())


class Broken(loop.Loop):
    """Decisions that end with a fault which no pass should have let through."""

    def __init__(self) -> None:
        """Need nothing: nothing is decided."""

    async def run(self) -> None:
        raise ZeroDivisionError


def test_a_leader_that_cannot_decide_ends_instead_of_holding_the_lease_idly(
    tmp_path: Path,
) -> None:
    async def body() -> None:
        async with controller_bed.bed(tmp_path) as bed:
            place = (controller_bed.NAMESPACE, "lbctl-controller")
            lock = Lock(bed.api, place, "me", LockTimes(duration_s=2, renew_s=0.01))
            with pytest.raises(ZeroDivisionError):
                await app.lead(lock, Broken().run)

    event_loops.run(body())


class Counted(loop.Loop):
    """Decisions that only note when they run."""

    def __init__(self) -> None:
        self.running: list[bool] = []

    async def run(self) -> None:
        self.running.append(True)
        try:
            await asyncio.Event().wait()
        finally:
            self.running.append(False)


def test_while_the_lease_is_not_ours_nothing_is_decided(tmp_path: Path) -> None:
    async def body() -> None:
        async with controller_bed.bed(tmp_path) as bed:
            place = (controller_bed.NAMESPACE, "lbctl-controller")
            lock = Lock(bed.api, place, "me", LockTimes(duration_s=0.05, renew_s=0.01))
            decisions = Counted()
            async with event_loops.running(app.lead(lock, decisions.run)):
                await event_loops.until(lambda: decisions.running == [True])
                bed.fake.unavailable = True
                await event_loops.until(lambda: decisions.running == [True, False])
                bed.fake.unavailable = False
                await event_loops.until(lambda: decisions.running == [True, False, True])

    event_loops.run(body())
