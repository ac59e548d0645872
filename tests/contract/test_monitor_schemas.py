"""What the API server itself takes and refuses of monitors, and keeps of who fails."""

from pathlib import Path
from typing import Any

import pytest

import api_builders
import dataplane_builders as build
from lbctl.kube import config, resources
from lbctl.kube.client import Client
from lbctl.model import errors
from lbctl.model.monitors import Kind, Monitor, parse_monitor, render_monitor
from lbctl.model.virtual_service import Policy, parse_virtual_service
from lbctl.translate.failing import FailingMember, parse_failing
from lbctl_dataplane.serving_node import MAX_FAILING, Report, render

pytestmark = pytest.mark.root


def decided(real_api: Path, name: str, monitor: dict[str, Any]) -> Policy:
    """Return the policy of a decision with a monitor as the server keeps it; raises Rejected."""
    found: list[Policy] = []
    body = build.service_object(build.service(name), 1)
    body["metadata"] = {"name": name}
    body["spec"]["policy"]["monitor"] = monitor
    del body["status"]

    async def made(api: Client) -> None:
        kept = await api.create(resources.L4_VIRTUAL_SERVICES, body)
        await api.delete(resources.L4_VIRTUAL_SERVICES, name)
        found.append(parse_virtual_service(kept).policy)

    api_builders.ask(made, config.load(real_api))
    return found[0]


FULL = {
    "port": 9000,
    "path": "/healthz?full=1",
    "host": "kuard.example:8080",
    "codes": ((200, 200), (204, 299)),
    "body": "alive and “well”",
    "verify": True,
    "send": "0x00FF",
    "expect": "pong",
}


@pytest.mark.parametrize("monitor", [*map(Monitor, Kind), Monitor(Kind.HTTPS, **FULL)])  # type: ignore[arg-type]
def test_a_monitor_is_kept_as_it_was_written(real_api: Path, name: str, monitor: Monitor) -> None:
    assert decided(real_api, name, render_monitor(monitor)).monitor == monitor


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "icmp"},
        {"timeoutMilliseconds": 2501},
        {"intervalMilliseconds": 3999},
        {"intervalMilliseconds": 99, "timeoutMilliseconds": 10},
        {"fall": 0},
        {"rise": 51},
        {"jitterPercent": 51},
        {"port": 65536},
        {"path": "healthz"},
        {"path": "/a b"},
        {"path": "/\r\nHost: x"},
        {"host": "a b"},
        {"codes": ["2xx"]},
        {"codes": ["200-299-300"]},
        {"send": "0x0"},
        {"expect": "0xzz"},
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(real_api: Path, name: str, fields: dict[str, Any]) -> None:
    with pytest.raises(errors.Rejected, match="monitor"):
        decided(real_api, name, {"type": "http", **fields})


def test_what_the_server_takes_is_understood(real_api: Path, name: str) -> None:
    assert decided(real_api, name, {"type": "udp"}).monitor == parse_monitor({"type": "udp"})


def test_a_full_report_of_failing_members_is_kept(real_api: Path, name: str) -> None:
    first = int(build.ip("10.0.0.1"))
    failing = tuple(
        FailingMember("default.kuard", build.ip(first + number), "TCP", 8080, "TimedOut")
        for number in range(MAX_FAILING + 1)
    )
    found: list[tuple[FailingMember, ...]] = []

    async def reported(api: Client) -> None:
        body = {"metadata": {"name": name}, "spec": {"role": "node"}}
        await api.create(resources.SERVING_NODES, body)
        status = render(Report(1, 1, failing=failing))
        kept = await api.patch(resources.SERVING_NODES, name, {"status": status}, sub="status")
        await api.delete(resources.SERVING_NODES, name)
        found.append(parse_failing(kept["status"]))

    api_builders.ask(reported, config.load(real_api))
    assert found == [failing[:MAX_FAILING]]
