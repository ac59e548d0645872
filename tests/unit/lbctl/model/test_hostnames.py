"""What a host name looks like, and who may have one."""

import pytest

from lbctl.model.hostnames import SuffixRule, is_within, parse_host
from lbctl.model.selector import Requirement, Selector

EDGE = Selector((Requirement("tier", "In", frozenset({"edge"})),))


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("www.lb.example", "www.lb.example"),
        (" WWW.LB.Example. ", "www.lb.example"),
        ("*.apps.lb.example", "*.apps.lb.example"),
        ("xn--bcher-kva.lb.example", "xn--bcher-kva.lb.example"),
        ("1.2.lb", "1.2.lb"),
        (f"{'a' * 63}.lb.example", f"{'a' * 63}.lb.example"),
    ],
)
def test_a_host_name_is_lower_case_without_the_final_dot(text: str, host: str) -> None:
    assert parse_host(text) == host


@pytest.mark.parametrize(
    "text",
    [
        "",
        "www",
        "*",
        "*.example",
        "a.*.lb.example",
        "*a.lb.example",
        "a_b.lb.example",
        "a..lb.example",
        "-a.lb.example",
        "a-.lb.example",
        "bücher.lb.example",
        "a b.lb.example",
        f"{'a' * 64}.lb.example",
        ".".join(["abc"] * 64) + ".example",
        "a.lb.example..",
    ],
)
def test_what_is_no_host_name_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a host name|more than 253"):
        parse_host(text)


def test_being_within_a_domain_goes_by_labels() -> None:
    assert is_within("lb.example", "lb.example")
    assert is_within("*.lb.example", "lb.example")
    assert not is_within("xlb.example", "lb.example")
    assert not is_within("example", "lb.example")


@pytest.mark.parametrize(
    ("rule", "namespace", "labels", "allowed"),
    [
        (SuffixRule("shop.lb.example"), "any", {}, True),
        (SuffixRule("shop.lb.example", frozenset({"shop"})), "shop", {}, True),
        (SuffixRule("shop.lb.example", frozenset({"shop"})), "blue", {}, False),
        (SuffixRule("shop.lb.example", selectors=(EDGE,)), "any", {"tier": "edge"}, True),
        (SuffixRule("shop.lb.example", selectors=(EDGE,)), "any", {"tier": "core"}, False),
        (SuffixRule("shop.lb.example", frozenset({"a"}), (EDGE,)), "a", {}, True),
        (SuffixRule("{namespace}.lb.example"), "shop", {}, True),
        (SuffixRule("{namespace}.lb.example"), "blue", {}, False),
        (SuffixRule("other.example"), "any", {}, False),
    ],
)
def test_a_rule_allows_a_namespace_names_below_a_suffix(
    rule: SuffixRule, namespace: str, labels: dict[str, str], allowed: bool
) -> None:
    assert rule.allows("www.shop.lb.example", namespace, labels) is allowed
