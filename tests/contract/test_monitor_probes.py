"""Probes against real servers: what each kind says of members that work and that do not."""

import asyncio
import ipaddress
import time
from collections.abc import Iterator
from typing import Any

import pytest

import event_loops
import monitored_servers as servers
from dataplane_bed import network_of
from lbctl.model.monitors import Failure, Kind, Monitor
from lbctl_dataplane.monitors import probes
from lbctl_dataplane.monitors.health import Target

pytestmark = pytest.mark.root

PATIENCE = {"interval_ms": 40_000, "timeout_ms": 20_000}
"""A safety limit: what answers does so at once."""
BRIEF = {"interval_ms": 1000, "timeout_ms": 300}
"""For those that do not answer, however long one waits."""
HTTP_KINDS = (Kind.HTTP, Kind.HTTPS)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with servers.running(tmp_path_factory.mktemp("servers")) as made:
        yield made


@pytest.fixture(params=[0, 1], ids=["IPv4", "IPv6"])
def family(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def ask(node: str, address: str, port: int, kind: Kind, **fields: Any) -> Failure | None:
    monitor = Monitor(kind, **{**PATIENCE, **fields})
    with network_of(node):
        return event_loops.run(probes.ask(Target(ipaddress.ip_address(address), port, monitor)))


STREAMS = (Kind.TCP, Kind.HALF_OPEN)


@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize("port", [servers.WELL, servers.HANGING, servers.CLOSING])
def test_a_connection_is_enough_for_tcp(node: str, family: int, kind: Kind, port: int) -> None:
    assert ask(node, servers.ADDRESSES[family], port, kind) is None


@pytest.mark.parametrize("kind", [*STREAMS, *HTTP_KINDS, Kind.UDP])
def test_a_closed_port_refuses(node: str, family: int, kind: Kind) -> None:
    found = ask(node, servers.ADDRESSES[family], servers.REFUSED, kind)
    assert found is Failure.REFUSED


@pytest.mark.parametrize("kind", [*STREAMS, *HTTP_KINDS])
def test_an_address_that_nobody_has_times_out(node: str, family: int, kind: Kind) -> None:
    assert ask(node, servers.NOBODY[family], servers.WELL, kind, **BRIEF) is Failure.TIMED_OUT


@pytest.mark.parametrize("kind", [*STREAMS, *HTTP_KINDS, Kind.UDP])
def test_an_address_without_a_way_is_unreachable(node: str, family: int, kind: Kind) -> None:
    assert ask(node, servers.NOWHERE[family], servers.WELL, kind) is Failure.UNREACHABLE


def accepted(node: str) -> int:
    """Return how many connections the counting server has accepted."""
    for number in range(1000):
        expected = f"{number} accepted"
        if ask(node, servers.ADDRESSES[0], servers.COUNT, Kind.UDP, expect=expected) is None:
            return number
    raise AssertionError("the counting server counts no more")


def test_a_server_never_sees_a_half_open_connection(node: str, family: int) -> None:
    before = accepted(node)
    for _ in range(20):
        assert ask(node, servers.ADDRESSES[family], servers.COUNTED, Kind.HALF_OPEN) is None
    # One that is seen comes after those, so that they would have been counted with it.
    assert ask(node, servers.ADDRESSES[family], servers.COUNTED, Kind.TCP) is None
    while (now := accepted(node)) == before:
        pass
    assert now == before + 1


@pytest.mark.parametrize(
    "port",
    [servers.WELL, servers.CHUNKED, servers.PATIENT, servers.OLD],
)
def test_a_good_answer_comes_in_many_forms(node: str, family: int, port: int) -> None:
    assert ask(node, servers.ADDRESSES[family], port, Kind.HTTP, body="alive") is None


@pytest.mark.parametrize(
    ("port", "failure"),
    [
        (servers.BROKEN, Failure.WRONG_CODE),
        (servers.CLOSING, Failure.CLOSED),
        (servers.NONSENSE, Failure.WRONG_ANSWER),
        (servers.TALKER, Failure.WRONG_ANSWER),
        (servers.TLS, Failure.CLOSED),
    ],
)
def test_a_bad_answer_is_told_apart(node: str, family: int, port: int, failure: Failure) -> None:
    assert ask(node, servers.ADDRESSES[family], port, Kind.HTTP) is failure


@pytest.mark.parametrize("port", [servers.LATE, servers.HANGING])
def test_a_late_answer_is_none(node: str, family: int, port: int) -> None:
    found = ask(node, servers.ADDRESSES[family], port, Kind.HTTP, **BRIEF)
    assert found is Failure.TIMED_OUT


@pytest.mark.parametrize("port", [servers.WELL, servers.CHUNKED, servers.OLD, servers.ENDLESS])
def test_a_body_without_the_text_is_wrong(node: str, family: int, port: int) -> None:
    found = ask(node, servers.ADDRESSES[family], port, Kind.HTTP, body="kicking")
    assert found is Failure.WRONG_BODY


def test_codes_are_as_wanted(node: str) -> None:
    for codes, failure in ((((500, 500),), None), (((200, 299), (404, 404)), Failure.WRONG_CODE)):
        assert ask(node, servers.ADDRESSES[0], servers.BROKEN, Kind.HTTP, codes=codes) is failure


def test_https_asks_for_no_certificate_that_is_known_unless_told_to(node: str, family: int) -> None:
    member = servers.ADDRESSES[family]
    assert ask(node, member, servers.TLS, Kind.HTTPS, body="alive", host="member.example") is None
    assert ask(node, member, servers.TLS, Kind.HTTPS, verify=True) is Failure.TLS_FAILED


def test_who_speaks_no_tls_fails_https(node: str) -> None:
    assert ask(node, servers.ADDRESSES[0], servers.NONSENSE, Kind.HTTPS, **BRIEF) is not None


@pytest.mark.parametrize(
    ("port", "fields", "failure"),
    [
        (servers.ECHO, {"send": "ping"}, None),
        (servers.ECHO, {"send": "0x70696e67", "expect": "echo ping"}, None),
        (servers.ECHO, {"send": "ping", "expect": "pong"}, Failure.WRONG_ANSWER),
        (servers.SILENT, {"send": "ping", **BRIEF}, None),
        (servers.SILENT, {"send": "ping", "expect": "pong", **BRIEF}, Failure.TIMED_OUT),
    ],
)
def test_datagrams_need_an_answer_only_where_one_is_expected(
    node: str, family: int, port: int, fields: dict[str, Any], failure: Failure | None
) -> None:
    assert ask(node, servers.ADDRESSES[family], port, Kind.UDP, **fields) is failure


@pytest.mark.parametrize("kind", [Kind.TCP, Kind.HTTP, Kind.HTTPS])
def test_time_in_which_this_process_is_busy_does_not_count(node: str, kind: Kind) -> None:
    port = servers.TLS if kind is Kind.HTTPS else servers.WELL
    target = Target(ipaddress.ip_address(servers.ADDRESSES[0]), port, Monitor(kind, **BRIEF))

    async def busy() -> Failure | None:
        asyncio.get_running_loop().call_later(0.0005, time.sleep, 2.0)
        return await probes.ask(target)

    with network_of(node):
        assert event_loops.run(busy()) is None
