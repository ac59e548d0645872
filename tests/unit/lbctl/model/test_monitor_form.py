"""Monitors as the API server sends them: what is not said, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from lbctl.model.monitors import (
    FAILURE_MEANING,
    Failure,
    Kind,
    Monitor,
    parse_monitor,
    render_monitor,
)


def test_what_is_not_said_is_the_default() -> None:
    assert parse_monitor({"type": "half-open"}) == Monitor(Kind.HALF_OPEN)


def test_what_is_empty_is_not_written() -> None:
    assert render_monitor(Monitor(Kind.TCP, jitter_percent=0)) == {
        "type": "tcp",
        "intervalMilliseconds": 5000,
        "timeoutMilliseconds": 2000,
        "rise": 2,
        "fall": 3,
        "jitterPercent": 0,
        "path": "/",
        "codes": ["200-399"],
    }


def test_codes_are_single_ones_and_ranges() -> None:
    found = parse_monitor({"type": "http", "codes": ["200", "300-308"]})
    assert found.codes == ((200, 200), (300, 308))


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"timeoutMilliseconds": 2501}, "half of the interval"),
        ({"timeoutMilliseconds": 0}, "half of the interval"),
        ({"intervalMilliseconds": 3999}, "half of the interval"),
        ({"codes": ["2xx"]}, "2xx"),
        ({"path": "/\r\nX-Forwarded-For: 10.0.0.1"}, "visible ASCII"),
        ({"host": "a b"}, "visible ASCII"),
        ({"path": "/ü"}, "visible ASCII"),
        ({"send": "0x0"}, "hexadecimal"),
        ({"expect": "0xzz"}, "hexadecimal"),
        ({"type": "icmp"}, "icmp"),
    ],
)
def test_what_the_schema_refuses_is_refused_with_its_reason(
    fields: dict[str, Any], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        parse_monitor({"type": "http", **fields})


@pytest.mark.parametrize(
    ("kind", "port", "asked"),
    [
        (Kind.TCP, 0, {"TCP"}),
        (Kind.HALF_OPEN, 0, {"TCP"}),
        (Kind.HTTPS, 0, {"TCP"}),
        (Kind.UDP, 0, {"UDP"}),
        (Kind.TCP, 9000, {"TCP", "UDP", "SCTP"}),
    ],
)
def test_a_port_of_its_own_lets_a_monitor_speak_for_every_protocol(
    kind: Kind, port: int, asked: set[str]
) -> None:
    found = {name for name in ("TCP", "UDP", "SCTP") if Monitor(kind, port).asks(name)}
    assert found == asked


@pytest.mark.parametrize("failure", Failure)
def test_every_failure_has_its_meaning(failure: Failure) -> None:
    assert FAILURE_MEANING[failure]


def test_the_reference_has_every_kind_field_and_failure() -> None:
    page = (Path(__file__).parents[4] / "docs" / "reference" / "health-monitors.md").read_text()
    for kind in Kind:
        assert f"| `{kind.value}` |" in page
    for failure, meaning in FAILURE_MEANING.items():
        assert f"| `{failure.value}` | {meaning} |" in page
    everything = Monitor(Kind.UDP, 53, body="x", host="x", verify=True, send="x", expect="x")
    for field in render_monitor(everything):
        assert f"| `{field}` |" in page
