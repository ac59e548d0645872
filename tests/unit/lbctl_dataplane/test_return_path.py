"""The rule and the route that lead answers back: what is asked of the kernel, in which order."""

import pytest

import dataplane_builders as build
from lbctl.delta import diff
from lbctl_dataplane.rules.nft import return_path
from lbctl_dataplane.rules.nft.return_path import Entry

FOUR, SIX = build.ip("10.1.0.1"), build.ip("fe80::1")
RULES = (
    '[{"priority":0,"src":"all","table":"local"},{"priority":7000,"src":"all","fwmark":"0xc70000",'
    '"fwmask":"0xff0000","table":"7000","protocol":"27"}]'
)
ROUTES = (
    '[{"dst":"default","gateway":"10.1.0.1","dev":"svc0","table":"7000","protocol":"27"},'
    '{"dst":"default","gateway":"10.9.0.1","dev":"leaf","table":"7001","protocol":"27"}]'
)
WANTED = return_path.wanted((FOUR,), "svc0")


def render(desired: return_path.Entries, observed: return_path.Entries, version: int = 4) -> str:
    return return_path.render(diff(desired, observed), observed, version)


def test_what_was_made_is_recognised() -> None:
    assert return_path.parse(4, RULES, ROUTES) == WANTED


def test_what_others_made_is_not() -> None:
    others = RULES.replace("7000", "7001"), ROUTES.replace("7000", "7002")
    assert return_path.parse(4, *others) == {}
    assert return_path.parse(4, RULES.replace('"27"', '"kernel"'), "") == {}


@pytest.mark.parametrize(
    ("part", "other"), [("0xc70000", "0x1"), ("0xff0000", "0xf"), ('"table":"7000"', '"table":"9"')]
)
def test_a_rule_of_ours_that_is_another_differs(part: str, other: str) -> None:
    found = return_path.parse(4, RULES.replace(part, other), ROUTES)
    assert render(WANTED, found).splitlines() == [
        "rule del pref 7000 protocol 27",
        "rule add fwmark 0xc70000/0xff0000 lookup 7000 pref 7000 protocol 27",
    ]


def test_the_route_is_there_before_the_rule_and_goes_after_it() -> None:
    verbs = [line.split()[:2] for line in render(WANTED, {}).splitlines()]
    assert verbs == [["route", "replace"], ["rule", "add"]]
    verbs = [line.split()[:2] for line in render({}, WANTED).splitlines()]
    assert verbs == [["rule", "del"], ["route", "del"]]


def test_a_new_gateway_changes_the_route_alone() -> None:
    (line,) = render(WANTED, WANTED | {Entry(4, "route"): "via 10.1.0.9 dev svc0"}).splitlines()
    assert line == "route replace default via 10.1.0.1 dev svc0 onlink table 7000 proto 27"


def test_each_family_has_its_own() -> None:
    both = return_path.wanted((FOUR, SIX), "svc0")
    assert "via fe80::1 dev svc0" in render(both, WANTED, 6)
    assert render(both, WANTED, 4) == ""
