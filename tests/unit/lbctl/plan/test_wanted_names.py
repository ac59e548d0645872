"""Which names a Service gets of those it asks for, and what DNS answers for them."""

import dataclasses
import datetime
from typing import Any

import pytest

import builders
from controller_builders import allocation, decided, rewritten
from lbctl.model.hostnames import AtZero, SuffixRule
from lbctl.model.reasons import Reason
from lbctl.plan import conditions, decision, hostnames, readiness
from lbctl.plan.hostnames import NameRegister, Naming, WantedNames
from lbctl.plan.view import View

READY = builders.endpoint_slice(builders.endpoint("10.244.1.1"))
SICK = builders.endpoint_slice(builders.endpoint("10.244.1.1", ready=False))
AUTO = "kuard.default.lb.example"
ZONES = dataclasses.replace(builders.NAMING, zones=("lb.example", "apps.example"))


def annotated(**notes: str) -> dict[str, Any]:
    obj = builders.finalized(builders.service())
    told = {f"lbctl.io/{key.replace('_', '-')}": text for key, text in notes.items()}
    return {**obj, "metadata": {**obj["metadata"], "annotations": told}}


def wanted(naming: Naming = ZONES, **notes: str) -> WantedNames:
    return hostnames.wanted_names(naming, builders.facts(annotated(**notes)), {"tier": "edge"})


def reasons(found: WantedNames) -> list[Reason]:
    return [refused.reason for refused in found.refused]


def test_names_asked_for_come_before_the_one_that_every_service_gets() -> None:
    found = wanted(hostname="www.lb.example,*.shop.apps.example")
    assert found.hosts == ("www.lb.example", "*.shop.apps.example", AUTO)
    assert found.refused == ()


def test_a_name_asked_for_twice_is_there_once() -> None:
    assert wanted(hostname=AUTO).hosts == (AUTO,)


def test_without_automatic_names_there_are_those_asked_for() -> None:
    naming = dataclasses.replace(ZONES, subdomain="")
    assert wanted(naming, hostname="www.lb.example").hosts == ("www.lb.example",)
    assert wanted(naming).hosts == ()


def test_a_name_outside_of_the_zones_is_refused_with_the_zones() -> None:
    found = wanted(hostname="www.example.org")
    assert (found.hosts, reasons(found)) == ((AUTO,), [Reason.HOSTNAME_NOT_IN_ZONE])
    assert found.refused[0].detail == "www.example.org (zones: lb.example, apps.example)"


def test_a_name_of_external_dns_outside_of_the_zones_is_its_own_business() -> None:
    obj = builders.service()
    notes = {"external-dns.alpha.kubernetes.io/hostname": "www.example.org,www.lb.example"}
    obj["metadata"]["annotations"] = notes
    found = hostnames.wanted_names(ZONES, builders.facts(obj), {})
    assert (found.hosts, found.refused) == (("www.lb.example", AUTO), ())


@pytest.mark.parametrize("host", ["apps.example", "ns1.apps.example"])
def test_the_zones_own_names_are_nobodys(host: str) -> None:
    naming = dataclasses.replace(ZONES, reserved=frozenset({"apps.example", "ns1.apps.example"}))
    assert reasons(wanted(naming, hostname=host)) == [Reason.HOSTNAME_NOT_ALLOWED]


def test_a_namespace_gets_names_below_its_suffixes_only_and_its_own_name_always() -> None:
    rules = (SuffixRule("{namespace}.apps.example"), SuffixRule("x.lb.example", frozenset({"y"})))
    naming = dataclasses.replace(ZONES, suffixes=rules)
    found = wanted(naming, hostname="a.default.apps.example,a.other.apps.example,a.x.lb.example")
    assert found.hosts == ("a.default.apps.example", AUTO)
    assert reasons(found) == [Reason.HOSTNAME_NOT_ALLOWED] * 2


@pytest.mark.parametrize(
    ("opt_in", "dns", "declined"),
    [
        (False, "", False),
        (False, "false", True),
        (True, "", True),
        (True, "true", False),
        (True, "maybe", True),
    ],
)
def test_a_service_may_decline_names_or_has_to_ask_for_them(
    opt_in: bool, dns: str, declined: bool
) -> None:
    found = wanted(dataclasses.replace(ZONES, opt_in=opt_in), dns=dns, hostname="www.lb.example")
    assert found.declined is declined
    assert found.hosts == (() if declined else ("www.lb.example", AUTO))


@pytest.mark.parametrize(("asked", "given"), [("60", 60), ("1", 2), ("2h", 3600), ("", 5)])
def test_a_ttl_is_kept_within_its_bounds(asked: str, given: int) -> None:
    found = wanted(dataclasses.replace(ZONES, ttl_bounds_s=(2, 3600)), ttl=asked)
    assert found.ttl_s == given
    clamped = asked not in ("", "60")
    assert reasons(found) == [Reason.NAME_SETTING_MALFORMED] * clamped


# --- at zero --------------------------------------------------------------------------------------


def serving(*slices: object, naming: Naming = ZONES, **notes: str) -> View:
    held = (allocation(),)
    return decided(
        builders.view(annotated(**notes), slices=slices, allocations=held, naming=naming)
    )


def names(view: View, now: datetime.datetime = builders.NOW) -> list[tuple[str, bool, bool]]:
    assert view.service is not None
    found = decision.desired_decision(view, view.service, now).names
    return [(name.host, name.published, name.no_data) for name in found]


@pytest.mark.parametrize(
    ("mode", "published", "no_data"),
    [("nxdomain", False, False), ("nodata", False, True), ("keep", True, False)],
)
def test_without_endpoints_dns_says_what_the_service_asks_for(
    mode: str, published: bool, no_data: bool
) -> None:
    assert names(serving(dns_at_zero=mode)) == [(AUTO, published, no_data)]
    by_setting = dataclasses.replace(ZONES, at_zero=AtZero(mode))
    assert names(serving(naming=by_setting)) == [(AUTO, published, no_data)]
    assert names(serving(naming=by_setting, dns_at_zero="nxdomain")) == [(AUTO, False, False)]


@pytest.mark.parametrize("mode", AtZero)
def test_with_endpoints_the_mode_changes_nothing(mode: AtZero) -> None:
    assert names(serving(READY, dns_at_zero=mode.value)) == [(AUTO, True, False)]


@pytest.mark.parametrize("mode", ["nxdomain", "nodata"])
def test_the_grace_comes_before_the_mode(mode: str) -> None:
    before = serving(READY, dns_at_zero=mode)
    sick = builders.view(None, slices=(SICK,)).endpoints
    view = dataclasses.replace(before, endpoints=sick)
    assert names(view) == [(AUTO, True, False)]
    since = builders.NOW - datetime.timedelta(seconds=11)
    over = rewritten(view, empty_since=since.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
    assert names(over) == [(AUTO, False, mode == "nodata")]


# --- conditions -----------------------------------------------------------------------------------


def told(view: View) -> tuple[bool, Reason, str]:
    assert view.decision is not None
    assert view.service is not None
    found = readiness.readiness(view, view.decision)
    made = conditions.name_condition(view, view.service, view.decision.virtual_service, found)
    return made.true, made.reason, made.message


def test_every_name_that_is_answered_is_told() -> None:
    view = serving(READY, hostname="www.lb.example")
    assert told(view) == (True, Reason.PUBLISHED, f"www.lb.example, {AUTO}")


def test_one_bad_name_makes_it_false_and_tells_what_is_answered() -> None:
    view = serving(READY, hostname="www.example.org")
    detail = f"www.example.org (zones: lb.example, apps.example); answered: {AUTO}"
    assert told(view) == (False, Reason.HOSTNAME_NOT_IN_ZONE, detail)


def test_a_name_of_another_service_is_told_with_its_owner_and_not_answered() -> None:
    held, rivals = (allocation(),), {"www.lb.example": "shop/web"}
    view = decided(
        builders.view(
            annotated(hostname="www.lb.example"), slices=(READY,), allocations=held, rivals=rivals
        )
    )
    assert view.decision is not None
    taken = view.decision.virtual_service.names[0]
    assert (taken.host, taken.published, taken.taken_by) == ("www.lb.example", False, "shop/web")
    message = f"www.lb.example belongs to Service shop/web; answered: {AUTO}"
    assert told(view) == (False, Reason.HOSTNAME_TAKEN, message)
    found = readiness.readiness(view, view.decision)
    assert conditions.decision_status(view, view.decision, found).host == AUTO


def test_who_declines_names_is_told_so() -> None:
    assert told(serving(READY, dns="false"))[:2] == (False, Reason.NAMES_DECLINED)


def test_a_name_without_data_is_told_so() -> None:
    true, reason, message = told(serving(dns_at_zero="nodata"))
    assert (true, reason) == (False, Reason.NO_ENDPOINTS)
    assert message.endswith("the name stays without an address")


def test_a_kept_name_is_published_without_endpoints() -> None:
    assert told(serving(dns_at_zero="keep")) == (True, Reason.PUBLISHED, AUTO)


# --- who has a name -------------------------------------------------------------------------------


def nobody(host: str) -> frozenset[str]:
    return frozenset()


def test_a_name_belongs_to_the_oldest_who_asks_for_it() -> None:
    register = NameRegister()
    assert register.enter("n/new", ("2026", "a"), ("www", "new")) == frozenset()
    assert register.enter("n/old", ("2025", "b"), ("www",)) == {"n/new"}
    assert register.owner("www") == "n/old"
    assert register.rivals("n/new", (), nobody) == {"www": "n/old"}
    assert register.rivals("n/old", (), nobody) == {}


def test_of_two_made_in_one_second_the_lower_uid_has_it() -> None:
    register = NameRegister()
    register.enter("n/b", ("2026", "uid-1"), ("www",))
    register.enter("n/a", ("2026", "uid-2"), ("www",))
    assert register.owner("www") == "n/b"


def test_who_lets_a_name_go_wakes_who_waits_for_it() -> None:
    register = NameRegister()
    register.enter("n/old", ("2025", "b"), ("www",))
    register.enter("n/new", ("2026", "a"), ("www",))
    assert register.enter("n/old", ("2025", "b"), ()) == {"n/new"}
    assert register.owner("www") == "n/new"
    assert register.enter("n/old", ("2025", "b"), ()) == frozenset()


def test_a_name_is_not_taken_before_it_was_let_go() -> None:
    register = NameRegister()
    register.enter("n/old", ("2025", "b"), ("www",))
    assert register.rivals("n/old", (), lambda host: {"n/new", "n/old"}) == {"www": "n/new"}
    assert register.rivals("n/old", ("www",), lambda host: {"n/new"}) == {}


def test_a_newcomer_concerns_nobody_who_keeps_what_he_has() -> None:
    register = NameRegister()
    register.enter("n/old", ("2025", "b"), ("www",))
    register.enter("n/new", ("2026", "a"), ("www",))
    assert register.enter("n/newer", ("2027", "a"), ("www", "b")) == frozenset()
    assert register.asking("www") == ("n/old", "n/new", "n/newer")
    assert register.enter("n/old", ("2025", "b"), ("b",)) == {"n/new", "n/newer"}


def test_a_name_that_nobody_asks_for_has_no_owner() -> None:
    assert NameRegister().owner("www") == ""
    assert NameRegister().asking("www") == ()
