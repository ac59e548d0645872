"""What becomes of endpoints that nodes call failing."""

import ipaddress

from lbctl.translate.endpoints import Endpoint
from lbctl.translate.failing import (
    Failing,
    FailingMember,
    by_key,
    parse_failing,
    render_failing,
    without_failing,
)

HTTP, DNS = ("http", "TCP", 8080), ("dns", "UDP", 5353)


def address(number: int) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(f"10.0.0.{number}")


def endpoint(number: int, *ports: tuple[str, str, int], ready: bool = True) -> Endpoint:
    return Endpoint(address(number), f"node-{number}", ready, True, False, ports or (HTTP,))


def fails(*places: tuple[int, str, int], node: int | None = None) -> Failing:
    return frozenset(
        (f"node-{node or number}", address(number), protocol, port)
        for number, protocol, port in places
    )


def test_who_fails_beside_others_is_not_ready_and_keeps_its_connections() -> None:
    found = without_failing((endpoint(1), endpoint(2)), fails((1, "TCP", 8080)))
    assert [(end.ready, end.serving) for end in found] == [(False, True), (True, True)]


def test_where_all_fail_readiness_wins() -> None:
    both = (endpoint(1), endpoint(2))
    assert without_failing(both, fails((1, "TCP", 8080), (2, "TCP", 8080))) is both


def test_who_is_not_ready_saves_nobody() -> None:
    mixed = (endpoint(1), endpoint(2, ready=False))
    assert without_failing(mixed, fails((1, "TCP", 8080))) is mixed


def test_each_port_is_judged_by_itself() -> None:
    both = (endpoint(1, HTTP, DNS), endpoint(2, HTTP, DNS))
    found = without_failing(both, fails((1, "UDP", 5353)))
    assert [(end.address, end.ports, end.ready) for end in found] == [
        (address(1), (HTTP,), True),
        (address(1), (DNS,), False),
        (address(2), (HTTP, DNS), True),
    ]


def test_of_udp_nothing_stays() -> None:
    found = without_failing((endpoint(1, DNS), endpoint(2, DNS)), fails((1, "UDP", 5353)))
    assert [(end.ready, end.serving) for end in found] == [(False, False), (True, True)]


def test_a_node_has_no_word_about_members_of_others() -> None:
    both = (endpoint(1), endpoint(2))
    assert without_failing(both, fails((1, "TCP", 8080), node=2)) is both


def test_a_report_is_read_as_it_was_written() -> None:
    member = FailingMember("default.kuard", address(1), "TCP", 8080, "TimedOut")
    status = {"failing": [render_failing(member), {"key": "broken"}]}
    assert parse_failing(status) == (member,)
    assert by_key([("node-1", member)]) == {"default.kuard": fails((1, "TCP", 8080))}
