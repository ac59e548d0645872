"""Monitors, their targets and what is said of them, for tests."""

import ipaddress
from typing import Any

from hypothesis import strategies as st

from lbctl.model.monitors import Failure, Kind, Monitor
from lbctl_dataplane.monitors.health import Target

TEXT = st.sampled_from(["", "ok", "0x00ff", "a b\r\n"])
MONITORS = st.builds(
    lambda interval_ms, share, **fields: Monitor(
        interval_ms=interval_ms, timeout_ms=max(interval_ms * share // 100, 1), **fields
    ),
    interval_ms=st.integers(100, 60_000),
    share=st.integers(1, 50),
    kind=st.sampled_from(Kind),
    port=st.sampled_from([0, 1, 65535]),
    rise=st.integers(1, 4),
    fall=st.integers(1, 4),
    jitter_percent=st.integers(0, 50),
    path=st.sampled_from(["/", "/healthz?full=1"]),
    host=st.sampled_from(["", "kuard.example", "kuard.example:8080"]),
    codes=st.sampled_from([((200, 399),), ((200, 200), (204, 206))]),
    body=st.sampled_from(["", "alive"]),
    verify=st.booleans(),
    send=TEXT,
    expect=TEXT,
)
RESULTS = st.none() | st.sampled_from([Failure.REFUSED, Failure.TIMED_OUT])


def monitor(kind: Kind = Kind.TCP, **fields: Any) -> Monitor:
    return Monitor(kind, **fields)


def target(number: int = 1, port: int = 8080, **fields: Any) -> Target:
    return Target(ipaddress.ip_address(f"10.0.0.{number}"), port, monitor(**fields))
