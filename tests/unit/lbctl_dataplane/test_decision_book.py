"""What a node knows: decisions, doubt, endpoints and the versions that a view covers."""

import dataclasses
from typing import Any

import pytest

import dataplane_builders as build
from lbctl.kube.store import Store
from lbctl.model.virtual_service import Listener, NamePublication, Phase, VirtualService
from lbctl_dataplane import decisions
from lbctl_dataplane.packed import unpack


class Fixture:
    def __init__(self) -> None:
        self.services = Store(transform=decisions.trim_service)
        self.slices = Store(transform=decisions.trim_slice, index=decisions.slice_owners)
        self.woken = 0
        self.book = decisions.Book(self.services, self.slices, self._wake)

    def _wake(self) -> None:
        self.woken += 1

    def put(self, decision: VirtualService, version: int, **fields: Any) -> None:
        self.services.apply("MODIFIED", build.service_object(decision, version, **fields))

    def delete(self, decision: VirtualService, version: int) -> None:
        self.services.apply("DELETED", build.service_object(decision, version))

    def keys(self) -> list[str]:
        return [service.key for service in self.book.view().services]


@pytest.fixture
def world() -> Fixture:
    return Fixture()


KUARD = build.service()
WITHDRAWN = build.service(phase=Phase.WITHDRAWN)


def test_a_view_covers_what_the_stores_have_seen(world: Fixture) -> None:
    world.put(KUARD, 10)
    world.slices.apply("ADDED", build.slice_object("s", 12, ("10.0.0.1", "node-1")))
    view = world.book.view()
    assert (view.decisions, view.slices, view.concerned) == (10, 12, True)
    assert view.behind["default.kuard"].versions == {"node-1": 12}
    assert [str(e.address) for e in view.endpoints["default.kuard"]] == ["10.0.0.1"]
    assert not world.book.view().concerned


def test_a_move_of_the_status_alone_wakes_nobody(world: Fixture) -> None:
    world.put(KUARD, 10)
    woken = world.woken
    world.put(KUARD, 11, status="Up")
    assert world.woken == woken


def test_the_leaders_note_tells_the_version_of_the_spec_exactly(world: Fixture) -> None:
    world.put(KUARD, 10)
    world.put(KUARD, 12, specResourceVersion="8", observedGeneration=1)
    view = world.book.view()
    assert view.spec_versions == {"default.kuard": 8}


def test_endpoints_of_unknown_services_concern_nobody(world: Fixture) -> None:
    world.put(KUARD, 10)
    world.book.view()
    other = build.slice_object("o", 11, ("10.0.0.9", "node-1"), service_name="other")
    world.slices.apply("ADDED", other)
    assert not world.book.view().concerned


@pytest.mark.parametrize("kind", ["MODIFIED", "DELETED"])
def test_endpoints_of_ours_concern_us(world: Fixture, kind: str) -> None:
    world.put(KUARD, 10)
    world.slices.apply("ADDED", build.slice_object("s", 11, ("10.0.0.1", "node-1")))
    world.book.view()
    world.slices.apply(kind, build.slice_object("s", 12, ("10.0.0.2", "node-1")))
    view = world.book.view()
    assert view.concerned
    expected = ["10.0.0.2"] if kind == "MODIFIED" else []
    assert [str(e.address) for e in view.endpoints["default.kuard"]] == expected


def test_a_withdrawn_decision_goes_when_it_is_deleted(world: Fixture) -> None:
    world.put(KUARD, 10)
    world.put(WITHDRAWN, 11, generation=2)
    world.delete(WITHDRAWN, 12)
    assert world.keys() == []


def test_a_deletion_without_withdrawal_is_doubt_and_held(world: Fixture) -> None:
    world.put(KUARD, 10)
    world.delete(KUARD, 11)
    assert world.keys() == ["default.kuard"]
    assert [service.key for service in world.book.held()] == ["default.kuard"]
    assert [obj["metadata"]["name"] for obj in world.book.held_objects()] == ["default.kuard"]


def test_a_list_that_lacks_it_is_doubt_as_well(world: Fixture) -> None:
    world.put(KUARD, 10)
    world.services.replace([], 20)
    assert world.keys() == ["default.kuard"]


def test_a_held_decision_yields_an_address_that_is_given_to_another(world: Fixture) -> None:
    world.put(KUARD, 10)
    world.delete(KUARD, 11)
    given = build.service("next", ["198.18.0.1"])
    vip = dataclasses.replace(given.vips[0], allocation_uid="another")
    world.put(dataclasses.replace(given, vips=(vip,)), 12)
    held = next(s for s in world.book.view().services if s.key == "default.kuard")
    assert [str(vip.address) for vip in held.vips] == ["2001:2::1"]


@pytest.mark.parametrize(("port", "kept"), [(81, ["198.18.0.1", "2001:2::1"]), (80, ["2001:2::1"])])
def test_two_that_share_an_allocation_yield_to_each_other_only_for_a_port(
    world: Fixture, port: int, kept: list[str]
) -> None:
    world.put(KUARD, 10)
    world.delete(KUARD, 11)
    listeners = (Listener("", "TCP", port, "pool"),)
    world.put(build.service("sharing", ["198.18.0.1"], listeners=listeners), 12)
    held = next(s for s in world.book.view().services if s.key == "default.kuard")
    assert [str(vip.address) for vip in held.vips] == kept


def test_a_held_decision_ends_with_proof_or_with_a_new_decision(world: Fixture) -> None:
    world.put(KUARD, 10)
    world.delete(KUARD, 11)
    world.put(KUARD, 12)
    assert world.book.held() == ()
    world.delete(KUARD, 13)
    world.book.forget("default.kuard")
    assert world.keys() == []


def test_what_is_not_held_is_not_forgotten(world: Fixture) -> None:
    world.put(KUARD, 10)
    world.book.forget("default.kuard")
    world.book.forget("default.unknown")
    assert world.keys() == ["default.kuard"]


def test_an_object_that_makes_no_sense_changes_nothing(world: Fixture) -> None:
    world.put(KUARD, 10)
    broken = build.service_object(KUARD, 11, generation=2)
    broken["spec"]["phase"] = "Unheard"
    world.services.apply("MODIFIED", broken)
    assert world.keys() == ["default.kuard"]


def test_a_view_that_was_not_programmed_concerns_us_again(world: Fixture) -> None:
    world.put(KUARD, 10)
    world.book.view()
    world.book.concern_again()
    assert world.book.view().concerned


class Patient:
    """A book that tells who waits, of an agent on node-1."""

    def __init__(self) -> None:
        self.services = Store(transform=decisions.trim_service)
        self.slices = Store(transform=decisions.trim_slice, index=decisions.slice_owners)
        self.calls: list[str] = []
        self.book = decisions.Book(
            self.services,
            self.slices,
            lambda: self.calls.append("wake"),
            lambda: self.calls.append("later"),
            "node-1",
        )

    def decide(self, decision: VirtualService, version: int, generation: int = 1) -> list[str]:
        self.calls.clear()
        made = build.service_object(decision, version, generation)
        self.services.apply("MODIFIED", made)
        assert self.book.view().awaited is ("wake" in self.calls)
        return list(self.calls)

    def ends(self, version: int, *nodes: str) -> list[str]:
        self.calls.clear()
        ends = [(f"10.0.0.{n}", node) for n, node in enumerate(nodes, 1)]
        self.slices.apply("MODIFIED", build.slice_object("s", version, *ends))
        self.book.view()
        return sorted(set(self.calls))


def test_a_decision_without_members_here_is_waited_for_by_nobody() -> None:
    patient = Patient()
    assert patient.decide(KUARD, 10) == ["later"]
    assert patient.ends(11) == ["later"]
    assert patient.ends(12, "node-2") == ["later"]
    names = (NamePublication("kuard.lb.example", 5, True),)
    assert patient.decide(dataclasses.replace(KUARD, names=names), 13, 2) == ["later"]


def test_members_here_are_waited_for_when_they_come_and_when_they_go() -> None:
    patient = Patient()
    assert patient.ends(9, "node-1") == []
    assert patient.decide(KUARD, 10) == ["wake"]
    assert patient.ends(11, "node-2") == ["wake"]
    assert patient.ends(12, "node-2") == ["later"]
    assert patient.ends(13, "node-1") == ["wake"]


def test_every_agent_is_waited_for_when_addresses_or_all_of_it_are_taken_away() -> None:
    patient = Patient()
    patient.decide(KUARD, 10)
    assert patient.decide(dataclasses.replace(KUARD, vips=KUARD.vips[:1]), 11, 2) == ["wake"]
    assert patient.decide(WITHDRAWN, 12, 3) == ["wake"]


def test_where_something_is_held_every_decision_counts_at_once() -> None:
    patient = Patient()
    patient.decide(KUARD, 10)
    patient.services.apply("DELETED", build.service_object(KUARD, 11))
    assert patient.decide(build.service("next", ["198.18.0.1"]), 12) == ["wake"]


def test_a_view_shares_what_did_not_change_with_the_one_before(world: Fixture) -> None:
    world.put(KUARD, 10)
    world.put(build.service("other"), 11)
    world.slices.apply("ADDED", build.slice_object("s", 12, ("10.0.0.1", "node-1")))
    before = world.book.view()
    world.put(build.service("third"), 13)
    after = world.book.view()
    assert [service.key for service in after.services] == [
        "default.kuard", "default.other", "default.third",
    ]  # fmt: skip
    assert all(new is old for new, old in zip(after.services, before.services, strict=False))
    assert all(after.behind[key] is behind for key, behind in before.behind.items())
    assert "default.third" not in before.behind


def test_slices_are_trimmed_to_what_is_read() -> None:
    obj = build.slice_object("s", 12, ("10.0.0.1", "node-1"))
    obj["metadata"]["managedFields"] = ["x" * 1000]
    trimmed = decisions.trim_slice(obj)
    assert decisions.trim_slice(trimmed) == trimmed
    assert "managedFields" not in trimmed["metadata"]
    assert decisions.read_slices([trimmed]) == decisions.read_slices([obj])
    assert decisions.slice_owners({"metadata": {"namespace": "default"}}) == ()


def test_an_endpoint_without_an_address_stays_without_one() -> None:
    obj = build.slice_object("s", 12, ("10.0.0.1", "node-1"))
    obj["endpoints"].append({"addresses": None})
    assert unpack(decisions.trim_slice(obj))["endpoints"][1] == {"addresses": []}
    assert len(decisions.read_slices([decisions.trim_slice(obj)]).endpoints) == 1
