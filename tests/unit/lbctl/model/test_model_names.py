"""Names derive from the model alone: unique, within their target's limit, and stable."""

import pytest

import builders
from lbctl.model import names


def test_a_name_of_the_greatest_length_stays_plain() -> None:
    service = "s" * (names.LIMIT - len("c--a-"))
    assert names.virtual_service_name("c", "a", service) == f"c--a-{service}"


def test_a_name_that_is_too_long_ends_in_a_hash_at_the_limit() -> None:
    found = names.virtual_service_name("c", "a", "s" * 250)
    assert len(found) == names.LIMIT
    assert found.startswith("c--a-sss")
    assert found[-9] == "-"


def test_two_long_names_that_differ_at_the_end_stay_apart() -> None:
    one = names.virtual_service_name("c", "a", "s" * 250 + "x")
    other = names.virtual_service_name("c", "a", "s" * 250 + "y")
    assert one != other


def test_names_that_collide_plain_differ_when_taken() -> None:
    assert names.virtual_service_name("c", "a-b", "c") == names.virtual_service_name(
        "c", "a", "b-c"
    )
    taken = names.virtual_service_name("c", "a-b", "c", taken=True)
    assert taken != names.virtual_service_name("c", "a", "b-c", taken=True)


@pytest.mark.parametrize(
    ("protocol", "name"), [("TCP", "vs--53"), ("UDP", "vs--53-udp"), ("SCTP", "vs--53-sctp")]
)
def test_pools_of_other_protocols_than_tcp_say_so(protocol: str, name: str) -> None:
    assert names.pool_name("vs", 53, protocol) == name


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("192.0.2.7", "ip-192-0-2-7"),
        ("::", "ip-0000-0000-0000-0000-0000-0000-0000-0000"),
        ("2001:db8::7", "ip-2001-0db8-0000-0000-0000-0000-0000-0007"),
    ],
)
def test_each_address_has_one_allocation_name(address: str, name: str) -> None:
    assert names.allocation_name(builders.address(address)) == name


@pytest.mark.parametrize("subdomain", ["lb.example", "lb.example."])
def test_host_names_have_no_trailing_dot(subdomain: str) -> None:
    assert names.host_name("default", "kuard", subdomain) == "kuard.default.lb.example"
