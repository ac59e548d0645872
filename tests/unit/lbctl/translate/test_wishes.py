"""What users ask for: by our annotations, by the peers', by the field."""

from typing import Any

import pytest

from lbctl.model.reasons import Reason, Refused
from lbctl.model.sharing import Sharing
from lbctl.translate import annotations as table
from lbctl.translate.wishes import Wishes, read_wishes

BOTH = (4, 6)
OWN = table.ADDRESSES.own


def wishes(
    annotations: dict[str, str] | None = None,
    families: tuple[int, ...] = (4,),
    **spec: Any,
) -> Wishes:
    return read_wishes(annotations or {}, spec, families)


def asked(found: Wishes) -> dict[int, str]:
    assert not isinstance(found.addresses, Refused), found.addresses.detail
    return {family: str(address) for family, address in found.addresses.items()}


def refused(found: Wishes) -> Refused:
    assert isinstance(found.addresses, Refused)
    return found.addresses


def test_who_asks_for_nothing_gets_anything() -> None:
    assert wishes() == Wishes({}, "", None)


@pytest.mark.parametrize("key", [OWN, *table.ADDRESSES.aliases])
def test_every_annotation_for_addresses_is_read(key: str) -> None:
    found = wishes({key: " 192.0.2.6 , 2001:db8::6 ,"}, BOTH)
    assert asked(found) == {4: "192.0.2.6", 6: "2001:db8::6"}


def test_the_field_is_read() -> None:
    assert asked(wishes(loadBalancerIP="192.0.2.5")) == {4: "192.0.2.5"}


def test_ours_counts_alone_where_it_is_there() -> None:
    found = wishes(
        {OWN: "192.0.2.6", "metallb.io/loadBalancerIPs": "192.0.2.7"}, loadBalancerIP="192.0.2.5"
    )
    assert asked(found) == {4: "192.0.2.6"}


def test_a_blank_annotation_says_nothing() -> None:
    assert asked(wishes({OWN: " "}, loadBalancerIP="192.0.2.5")) == {4: "192.0.2.5"}


def test_two_that_agree_are_one_also_where_one_says_less() -> None:
    found = wishes(
        {"metallb.io/loadBalancerIPs": "192.0.2.5,2001:db8::5", "purelb.io/addresses": "192.0.2.5"},
        BOTH,
        loadBalancerIP="192.0.2.5",
    )
    assert asked(found) == {4: "192.0.2.5", 6: "2001:db8::5"}


def test_two_that_disagree_are_refused_naming_both_and_the_cure() -> None:
    found = wishes({"metallb.io/loadBalancerIPs": "192.0.2.6"}, loadBalancerIP="192.0.2.5")
    assert refused(found) == Refused(
        Reason.ADDRESS_REQUESTS_DISAGREE,
        "annotation metallb.io/loadBalancerIPs says 192.0.2.6, spec.loadBalancerIP says 192.0.2.5: "
        "leave one of them, or say it in lbctl.io/load-balancer-ips",
    )


@pytest.mark.parametrize(
    ("annotations", "spec", "reason", "detail"),
    [
        (
            {},
            {"loadBalancerIP": "192.0.2"},
            Reason.ADDRESS_MALFORMED,
            "spec.loadBalancerIP: '192.0.2' is not an IP address",
        ),
        (
            {OWN: "kuard"},
            {},
            Reason.ADDRESS_MALFORMED,
            "annotation lbctl.io/load-balancer-ips: 'kuard' is not an IP address",
        ),
        (
            {OWN: "2001:db8::1%eth0"},
            {},
            Reason.ADDRESS_MALFORMED,
            "annotation lbctl.io/load-balancer-ips: '2001:db8::1%eth0' is not an IP address",
        ),
        (
            {"purelb.io/addresses": "2001:db8::1"},
            {},
            Reason.ADDRESS_WRONG_FAMILY,
            "annotation purelb.io/addresses: 2001:db8::1, but the Service is IPv4",
        ),
        (
            {OWN: "192.0.2.1,192.0.2.2"},
            {},
            Reason.ADDRESS_MALFORMED,
            "annotation lbctl.io/load-balancer-ips: two IPv4 addresses",
        ),
    ],
)
def test_a_wrong_wish_is_refused_naming_the_field(
    annotations: dict[str, str], spec: dict[str, str], reason: Reason, detail: str
) -> None:
    assert refused(wishes(annotations, **spec)) == Refused(reason, detail)


@pytest.mark.parametrize("key", [table.POOL.own, *table.POOL.aliases])
def test_every_annotation_for_a_pool_is_read(key: str) -> None:
    assert wishes({key: "public"}).pool == "public"


@pytest.mark.parametrize("key", [table.SHARING_KEY.own, *table.SHARING_KEY.aliases])
def test_every_annotation_for_sharing_is_read(key: str) -> None:
    assert wishes({key: "web"}).sharing == Sharing("web")


@pytest.mark.parametrize("key", [table.SHARING_NAMESPACES.own, *table.SHARING_NAMESPACES.aliases])
def test_namespaces_to_share_with_are_read(key: str) -> None:
    found = wishes({table.SHARING_KEY.own: "web", key: "blue, green,"})
    assert found.sharing == Sharing("web", frozenset({"blue", "green"}))


def test_consent_without_a_key_is_none() -> None:
    assert wishes({table.SHARING_NAMESPACES.own: "*"}).sharing is None


@pytest.mark.parametrize("annotation", [table.POOL, table.SHARING_KEY, table.SHARING_NAMESPACES])
def test_aliases_that_disagree_are_refused_and_ours_ends_the_quarrel(
    annotation: table.Annotation,
) -> None:
    one, other = annotation.aliases[:2]
    quarrel = {one: "a", other: "b"}
    found = refused(wishes(quarrel))
    assert found.reason is Reason.ADDRESS_REQUESTS_DISAGREE
    assert found.detail.startswith(f"{one} says a, {other} says b: ")
    assert asked(wishes({**quarrel, annotation.own: "c"})) == {}


def test_a_slip_of_the_pen_is_found_by_our_prefix() -> None:
    noted = {"lbctl.io/shared-ips": "web", OWN: "", "metallb.io/nonsense": ""}
    assert table.unknown(noted) == ("lbctl.io/shared-ips",)


def test_no_key_stands_twice_in_the_table() -> None:
    keys = [key for one in table.ALL for key in (one.own, *one.aliases)]
    assert len(keys) == len(set(keys))
