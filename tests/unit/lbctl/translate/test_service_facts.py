"""What decisions need to know of a Service, and what users ask for in it."""

from typing import Any

import pytest

import builders
from lbctl.model.virtual_service import Policy
from lbctl.translate.service import (
    Ownership,
    PortError,
    ServicePort,
    ShownCondition,
    translate_service,
)

OTHERS = Ownership("lbctl.io/lbctl", default_class=False)


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


def test_the_health_check_port_of_local_traffic_is_taken_over() -> None:
    obj = builders.service(externalTrafficPolicy="Local", healthCheckNodePort=30999)
    assert builders.facts(obj).policy.health_check_node_port == 30999


def test_without_a_word_the_policy_is_the_default() -> None:
    assert builders.facts(builders.service()).policy == Policy()


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


def test_what_marks_a_service_apart_is_read() -> None:
    obj = builders.service(selector={"tier": "web", "app": "kuard"})
    obj["metadata"] |= {
        "labels": {"team": "blue"},
        "creationTimestamp": "2026-11-21T11:00:00Z",
        "annotations": {"lbctl.io/adress-pool": "public", "lbctl.io/address-pool": "public"},
    }
    found = builders.facts(obj)
    assert found.labels == {"team": "blue"}
    assert found.selector == (("app", "kuard"), ("tier", "web"))
    assert found.created == "2026-11-21T11:00:00Z"
    assert found.pool_wanted == "public"
    assert found.strange == ("lbctl.io/adress-pool",)


def test_a_service_that_says_little_has_little() -> None:
    found = builders.facts(builders.service())
    assert (found.labels, found.selector, found.created, found.strange) == ({}, (), "", ())
    assert (found.pool_wanted, found.sharing, found.range_faults) == ("", None, ())


@pytest.mark.parametrize(
    ("status", "since"), [("False", "2026-11-21T11:30:00Z"), ("True", "")], ids=["waits", "has"]
)
def test_a_service_waits_since_it_was_told_that_it_has_no_address(status: str, since: str) -> None:
    obj = builders.service()
    obj["status"]["conditions"] = [
        {"type": "lbctl.io/DataplaneReady", "status": "False", "lastTransitionTime": "other"},
        {
            "type": "lbctl.io/AddressAllocated",
            "status": status,
            "lastTransitionTime": "2026-11-21T11:30:00Z",
        },
    ]
    assert builders.facts(obj).waiting_since == since


def test_errors_of_ports_are_read_from_the_status() -> None:
    obj = builders.service()
    ports = [
        {"port": 80, "protocol": "TCP"},
        {"port": 9, "protocol": "SCTP", "error": "lbctl.io/ProtocolNotServed"},
    ]
    obj["status"]["loadBalancer"]["ingress"] = [{"ip": "192.0.2.1", "ports": ports}]
    assert builders.facts(obj).shown_port_errors == (
        PortError(80, "TCP", ""),
        PortError(9, "SCTP", "lbctl.io/ProtocolNotServed"),
    )
    assert builders.facts(builders.service()).shown_port_errors == ()
