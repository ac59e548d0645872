"""What decisions need to know of a Service, and what users ask for in it."""

from typing import Any

import pytest

import builders
from lbctl.model.reasons import Reason, Refused
from lbctl.model.virtual_service import Policy
from lbctl.translate.service import (
    ADDRESSES_ANNOTATION,
    Ownership,
    ServicePort,
    ShownCondition,
    translate_service,
)

OTHERS = Ownership("lbctl.io/lbctl", default_class=False)


def annotated(text: str, **spec: Any) -> dict[str, Any]:
    obj = builders.service(**spec)
    obj["metadata"]["annotations"] = {ADDRESSES_ANNOTATION: text}
    return obj


@pytest.mark.parametrize(
    ("spec", "ownership", "ours"),
    [
        ({}, builders.OWNERSHIP, True),
        ({}, OTHERS, False),
        ({"loadBalancerClass": "lbctl.io/lbctl"}, OTHERS, True),
        ({"loadBalancerClass": "other.io/lb"}, builders.OWNERSHIP, False),
        ({"type": "ClusterIP"}, builders.OWNERSHIP, False),
    ],
    ids=["no class", "no class, not default", "our class", "another's class", "another type"],
)
def test_type_and_class_decide_whose_a_service_is(
    spec: dict[str, Any], ownership: Ownership, ours: bool
) -> None:
    assert translate_service(builders.service(**spec), ownership).ours is ours


def test_a_service_that_is_being_deleted_is_still_ours() -> None:
    found = builders.facts(builders.deleting(builders.finalized(builders.service())))
    assert found.ours
    assert found.deleting
    assert found.finalized


def test_families_keep_the_services_order() -> None:
    found = builders.facts(builders.service(ipFamilies=["IPv6", "IPv4"]))
    assert found.families == (6, 4)


def test_without_families_a_service_is_ipv4() -> None:
    assert builders.facts(builders.service(ipFamilies=None)).families == (4,)


def test_ports_are_tcp_without_a_name_unless_they_say_so() -> None:
    found = builders.facts(
        builders.service(ports=[{"port": 80}, {"name": "d", "port": 53, "protocol": "UDP"}])
    )
    assert found.ports == (ServicePort("", "TCP", 80), ServicePort("d", "UDP", 53))


def test_a_service_without_a_spec_or_ports_has_none_and_is_not_ours() -> None:
    obj = builders.service()
    obj["spec"] = None
    found = builders.facts(obj)
    assert not found.ours
    assert found.ports == ()


def test_the_policy_is_taken_over() -> None:
    found = builders.facts(
        builders.service(
            externalTrafficPolicy="Local",
            sessionAffinity="ClientIP",
            sessionAffinityConfig={"clientIP": {"timeoutSeconds": 60}},
            loadBalancerSourceRanges=["203.0.113.0/24"],
        )
    )
    assert found.policy == Policy("Local", "ClientIP", 60, ("203.0.113.0/24",))


def test_without_a_word_the_policy_is_the_default() -> None:
    assert builders.facts(builders.service()).policy == Policy()


@pytest.mark.parametrize(
    ("obj", "wanted"),
    [
        (builders.service(), {}),
        (builders.service(loadBalancerIP="192.0.2.5"), {4: "192.0.2.5"}),
        (annotated("192.0.2.6"), {4: "192.0.2.6"}),
        (annotated("192.0.2.6", loadBalancerIP="192.0.2.5"), {4: "192.0.2.6"}),
        (
            annotated(" 192.0.2.6 , 2001:db8::6 ,", ipFamilies=["IPv4", "IPv6"]),
            {4: "192.0.2.6", 6: "2001:db8::6"},
        ),
    ],
    ids=["nothing", "field", "annotation", "annotation wins", "both families"],
)
def test_requested_addresses_are_read_by_family(
    obj: dict[str, Any], wanted: dict[int, str]
) -> None:
    expected = {family: builders.address(text) for family, text in wanted.items()}
    assert builders.facts(obj).wanted == expected


@pytest.mark.parametrize(
    ("obj", "reason", "detail"),
    [
        (
            builders.service(loadBalancerIP="192.0.2"),
            Reason.ADDRESS_MALFORMED,
            "spec.loadBalancerIP: '192.0.2' is not an IP address",
        ),
        (
            annotated("kuard"),
            Reason.ADDRESS_MALFORMED,
            "annotation lbctl.io/load-balancer-ips: 'kuard' is not an IP address",
        ),
        (
            annotated("2001:db8::1"),
            Reason.ADDRESS_WRONG_FAMILY,
            "annotation lbctl.io/load-balancer-ips: 2001:db8::1, but the Service is IPv4",
        ),
        (
            annotated("192.0.2.1,192.0.2.2"),
            Reason.ADDRESS_MALFORMED,
            "annotation lbctl.io/load-balancer-ips: two IPv4 addresses",
        ),
    ],
)
def test_a_wrong_request_is_refused_naming_the_field(
    obj: dict[str, Any], reason: Reason, detail: str
) -> None:
    assert builders.facts(obj).wanted == Refused(reason, detail)


def test_ingress_is_what_carries_an_address() -> None:
    obj = builders.service()
    obj["status"]["loadBalancer"]["ingress"] = [{"ip": "192.0.2.1"}, {"hostname": "x.example"}]
    assert builders.facts(obj).ingress == (builders.address("192.0.2.1"),)


def test_only_our_conditions_count_and_mark_a_service_as_touched() -> None:
    obj = builders.service()
    obj["status"]["conditions"] = [
        {"type": "other.io/Ready", "status": "True"},
        {"type": "lbctl.io/AddressAllocated", "status": "False"},
    ]
    found = builders.facts(obj)
    assert found.conditions == (ShownCondition("lbctl.io/AddressAllocated", False, "", "", ""),)
    assert found.touched


def test_a_service_without_conditions_of_ours_is_untouched() -> None:
    obj = builders.service()
    obj["status"] = None
    assert not builders.facts(obj).touched
