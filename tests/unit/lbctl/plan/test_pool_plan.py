"""What is to be written to AddressPool objects."""

import datetime
from typing import Any

import pytest

import builders
import ipam_builders as ipam
from lbctl.ipam.ledger import Ledger
from lbctl.ipam.resolve import resolve
from lbctl.plan import pools
from lbctl.plan.objects import Create, Delete, ObjectStep, Replace, WriteStatus
from lbctl.settings import AddressPoolSettings
from lbctl.translate.pools import configured_pools, is_mirror, mirrors, translate_pool

SETTINGS = (AddressPoolSettings(name="default", addresses=("192.0.2.0/28",)),)
MIRRORS = mirrors(SETTINGS)
LATER = builders.NOW + datetime.timedelta(minutes=1)


def obj(name: str, *addresses: str, labels: dict[str, str] | None = None, **spec: Any) -> Any:
    meta: dict[str, Any] = {"name": name, "uid": f"uid-{name}", "resourceVersion": "7"}
    meta |= {"generation": 3, "labels": labels or {}}
    return {"metadata": meta, "spec": {"addresses": list(addresses), **spec}}


def mirror(name: str = "default") -> Any:
    labels = {"lbctl.io/from": "settings"}
    return {**obj(name, labels=labels), "spec": MIRRORS["default"]}


def planned(
    *objects: Any, ledger: Ledger | None = None, now: datetime.datetime = builders.NOW
) -> tuple[ObjectStep, ...]:
    declared = [translate_pool(entry) for entry in objects if not is_mirror(entry)]
    found = resolve(configured_pools(SETTINGS), declared)
    return pools.plan_pools(MIRRORS, objects, found, ledger or Ledger(), now)


def step_of(
    entry: Any,
    *more: Any,
    ledger: Ledger | None = None,
    now: datetime.datetime = builders.NOW,
) -> WriteStatus:
    found = [
        step
        for step in planned(*more, entry, ledger=ledger, now=now)
        if isinstance(step, WriteStatus)
        and step.body["metadata"]["name"] == entry["metadata"]["name"]
    ]
    assert len(found) == 1
    return found[0]


def status_of(entry: Any, *more: Any, ledger: Ledger | None = None) -> dict[str, Any]:
    found: dict[str, Any] = step_of(entry, *more, ledger=ledger).body["status"]
    return found


def written(entry: Any, *more: Any, ledger: Ledger | None = None) -> Any:
    return {**entry, "status": status_of(entry, *more, ledger=ledger)}


def ready(status: dict[str, Any]) -> tuple[str, str, str]:
    (found,) = (entry for entry in status["conditions"] if entry["type"] == "Ready")
    return found["status"], found["reason"], found["message"]


def test_a_pool_of_the_settings_is_shown_as_an_object() -> None:
    (step,) = planned()
    assert isinstance(step, Create)
    assert step.body["metadata"] == {
        "name": "default",
        "labels": {"lbctl.io/from": "settings"},
    }
    assert step.body["spec"]["addresses"] == ["192.0.2.0/28"]
    assert step.body["spec"]["priority"] == 100


def test_when_all_is_said_nothing_is_written() -> None:
    more = obj("more", "198.51.100.0/28")
    assert planned(written(mirror(), more), written(more, mirror()), now=LATER) == ()


def test_a_mirror_that_was_edited_is_put_right() -> None:
    edited = mirror()
    edited["spec"] = {**edited["spec"], "autoAssign": False}
    assert planned(edited) == (Replace(mirror()),)


def test_a_mirror_of_a_pool_that_is_gone_is_taken_away_and_other_objects_stay() -> None:
    own = written(obj("own", "198.51.100.0/28"), written(mirror()))
    assert planned(written(mirror()), mirror("old"), own) == (Delete("old", "uid-old"),)


def test_somebodys_object_of_a_pools_name_stays_and_gives_nothing() -> None:
    found = status_of(obj("default", "198.51.100.0/28"))
    assert ready(found) == ("False", "NameTaken", "the settings have a pool called default")


def test_an_object_that_gives_says_so_and_counts() -> None:
    ledger = Ledger(
        [
            ipam.bound("198.51.100.1", "a", pool="more"),
            ipam.bound("203.0.113.9", "b", pool="more"),  # from before the pool was shrunk
            ipam.reserved("198.51.100.2", "default/c"),
        ]
    )
    found = status_of(obj("more", "198.51.100.0/29", "2001:db8::/64"), mirror(), ledger=ledger)
    assert ready(found)[:2] == ("True", "Serves")
    assert found["observedGeneration"] == 3
    assert found["assigned"] == {"ipv4": "2", "ipv6": "0"}
    assert found["available"] == {"ipv4": "4", "ipv6": str(2**64 - 1)}


def test_an_object_that_overlaps_or_does_not_parse_has_nothing_to_give() -> None:
    ledger = Ledger([ipam.bound("192.0.2.3", "a", pool="more")])
    found = status_of(obj("more", "192.0.2.3-192.0.2.9"), mirror(), ledger=ledger)
    assert ready(found) == ("False", "Overlaps", "192.0.2.3-192.0.2.9 is in pool default too")
    assert (found["assigned"]["ipv4"], found["available"]["ipv4"]) == ("1", "0")
    broken = status_of(obj("more", "192.0.2.9-192.0.2.3"), mirror())
    assert ready(broken)[:2] == ("False", "Malformed")
    assert "spec.addresses" in ready(broken)[2]


def test_the_time_of_a_condition_moves_with_its_status_only() -> None:
    base = mirror()
    before = written(obj("more", "198.51.100.0/28"), base)
    since = before["status"]["conditions"][0]["lastTransitionTime"]
    ledger = Ledger([ipam.bound("198.51.100.1", "a", pool="more")])
    counted = planned(written(base), before, ledger=ledger, now=LATER)
    (step,) = (found for found in counted if isinstance(found, WriteStatus))
    assert step.body["status"]["conditions"][0]["lastTransitionTime"] == since
    broken = {**before, "spec": {"addresses": ["192.0.2.1"]}}
    (told,) = (e for e in planned(written(base), broken, now=LATER))
    assert isinstance(told, WriteStatus)
    assert told.body["metadata"]["resourceVersion"] == "7"
    assert told.body["status"]["conditions"][0]["lastTransitionTime"] == "2026-11-21T12:01:00Z"


def test_conditions_of_others_stay() -> None:
    theirs = {"type": "example.org/Audited", "status": "True"}
    before = {**obj("more", "198.51.100.0/28"), "status": {"conditions": [theirs]}}
    assert theirs in status_of(before, mirror())["conditions"]


def edited(entry: Any, *addresses: str) -> Any:
    """Return a pool whose owner changed its addresses after its status was written."""
    meta = {**entry["metadata"], "generation": 4}
    return {**entry, "metadata": meta, "spec": {**entry["spec"], "addresses": [*addresses]}}


def test_what_a_pool_gives_by_is_kept_beside_what_it_says() -> None:
    more = obj("more", "198.51.100.0/28", priority=7)
    assert status_of(more, mirror())["accepted"] == more["spec"]
    wider = edited(written(more, mirror()), "198.51.100.0/24")
    assert status_of(wider, mirror())["accepted"] == wider["spec"]
    assert "accepted" not in status_of(mirror())


@pytest.mark.parametrize(
    ("addresses", "reason"),
    [(["nonsense"], "Malformed"), (["192.0.2.3-192.0.2.9"], "Overlaps")],
)
def test_a_bad_edit_leaves_the_last_good_spec_in_force_and_says_so(
    addresses: list[str], reason: str
) -> None:
    more = written(obj("more", "198.51.100.0/28"), mirror())
    bad = edited(more, *addresses)
    found = status_of(bad, mirror())
    assert ready(found)[:2] == ("False", reason)
    assert ready(found)[2].endswith(f"; {pools.LASTING}")
    assert found["accepted"] == more["spec"]
    assert found["available"] == more["status"]["available"]
    assert found["observedGeneration"] == 4


def test_what_never_was_good_or_is_the_settings_now_gives_nothing() -> None:
    never = status_of(obj("more", "nonsense"), mirror())
    assert "accepted" not in never
    assert pools.LASTING not in ready(never)[2]
    before = obj("more", "192.0.2.1")  # good until the settings came to have the address
    lost = {**before, "status": {"accepted": before["spec"]}}
    found = status_of(lost, mirror())
    assert "accepted" not in found
    assert found["available"] == {"ipv4": "0", "ipv6": "0"}


def test_who_looks_at_a_pool_is_told_once_that_it_is_wrong_and_once_that_it_is_right() -> None:
    base, new = written(mirror()), obj("more", "198.51.100.0/28")
    assert step_of(new, base).told == ()  # that a new pool serves is no news
    good = written(new, base)
    bad = edited(good, "nonsense")
    (told,) = step_of(bad, base).told
    assert (told["status"], told["reason"]) == ("False", "Malformed")
    bad = written(bad, base)
    ledger = Ledger([ipam.bound("198.51.100.1", "a", pool="more")])
    assert step_of(bad, base, ledger=ledger).told == ()
    assert step_of(edited(bad, "rubbish"), base).told == ()  # the same, for another cause
    (mended,) = step_of(edited(bad, "198.51.100.0/28"), base).told
    assert (mended["status"], mended["reason"]) == ("True", "Serves")
