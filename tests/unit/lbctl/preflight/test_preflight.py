"""The whole of `lbctl preflight` against the API server in memory, and what it prints."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import event_loops
from fakes import api_objects, api_server
from lbctl import cli
from lbctl.kube import resources
from lbctl.kube.client import Client
from lbctl.preflight import checks, examine, findings, gather
from lbctl.preflight.facts import Delegation
from lbctl.preflight.findings import Finding, Level
from lbctl.settings import Settings

RULES = {rules.resource.plural: rules for rules in api_objects.KNOWN}
TREE = Settings.model_validate(
    {"addressPools": [{"name": "vips", "addresses": ["192.0.2.0/24", "2001:db8:1::/112"]}]}
)
POOLS = "addressPools: [{name: vips, addresses: [192.0.2.0/24]}]"


def fill(fake: api_server.ApiServer) -> None:
    """Make a cluster that is ready."""

    def keep(resource: resources.Resource, name: str, namespace: str = "", **fields: Any) -> None:
        body = {"metadata": {"name": name}, **fields}
        fake.objects.create(RULES[resource.plural], namespace, body)

    for name in checks.CRDS:
        version = {"name": "v1alpha1", "served": True}
        keep(resources.DEFINITIONS, name, spec={"versions": [version]})
    keep(resources.NODES, "node-1", spec={"podCIDRs": ["10.244.1.0/24"]})
    keep(resources.SERVICE_CIDRS, "kubernetes", spec={"cidrs": ["10.96.0.0/16"]})
    keep(resources.CONFIG_MAPS, "kube-proxy", "kube-system", data={"config.conf": "mode: nftables"})
    keep(resources.NAMESPACES, "default")


def examined(prepare: Any = fill, tree: Settings = TREE) -> dict[str, Finding]:
    async def body() -> tuple[Finding, ...]:
        async with api_server.serving() as fake, Client(fake.cluster) as api:
            prepare(fake)
            return checks.cluster(await gather.cluster(api, ()), tree)

    return {finding.title: finding for finding in event_loops.run(body())}


def test_a_ready_cluster_passes() -> None:
    found = examined()
    assert {title for title, finding in found.items() if finding.level is not Level.OK} == set()
    assert found["Kubernetes version"].reason == "1.36"


def test_each_fault_is_found_where_it_is() -> None:
    def prepare(fake: api_server.ApiServer) -> None:
        fill(fake)
        fake.release = ("1", "29+")
        meta = {"name": "speaker", "namespace": "metallb-system"}
        fake.objects.create(RULES["daemonsets"], "metallb-system", {"metadata": meta})
        body: Any = {"metadata": {"name": "n2"}, "spec": {"podCIDRs": ["192.0.2.64/26"]}}
        fake.objects.create(RULES["nodes"], "", body)
        service: Any = {"metadata": {"name": "old"}, "spec": {"type": "LoadBalancer"}}
        fake.objects.create(RULES["services"], "default", service)
        shown = {"status": {"loadBalancer": {"ingress": [{"ip": "9.9.9.9"}]}}}
        fake.objects.replace(RULES["services"], ("default", "old"), shown, "status")

    found = examined(prepare)
    problems = {title for title, finding in found.items() if finding.level is Level.PROBLEM}
    assert problems == {
        "Kubernetes version",
        "Pools and pod networks",
        "Other load balancers",
        "Addresses to be replaced",
    }
    assert "DaemonSet metallb-system/speaker" in found["Other load balancers"].reason


def test_what_the_account_may_not_read_is_a_warning_of_its_own() -> None:
    def prepare(fake: api_server.ApiServer) -> None:
        fill(fake)
        fake.refuse("GET", "/nodes", api_objects.Refusal(403, "Forbidden", "nodes is forbidden"))
        missing = api_objects.Refusal(404, "NotFound", "the server could not find it")
        fake.refuse("GET", "/servicecidrs", missing)

    found = examined(prepare)
    warned = {title: it.reason for title, it in found.items() if it.level is not Level.OK}
    assert set(warned) == {
        "Pools and pod networks",
        "Pools and node addresses",
        "Pools and Service networks",
    }
    assert "nodes is forbidden" in warned["Pools and pod networks"]
    assert "before 1.33" in warned["Pools and Service networks"]


def test_cilium_pools_that_cannot_be_listed_are_a_warning() -> None:
    def prepare(fake: api_server.ApiServer) -> None:
        fill(fake)
        spec = {"versions": [{"name": "v2alpha1", "served": True}]}
        body: Any = {"metadata": {"name": "ciliumloadbalancerippools.cilium.io"}, "spec": spec}
        fake.objects.create(RULES["customresourcedefinitions"], "", body)

    found = examined(prepare)["Other load balancers"]
    assert found.level is Level.WARNING
    assert "/apis/cilium.io/v2alpha1/ciliumloadbalancerippools" in found.reason


def test_a_cluster_without_the_config_of_kube_proxy_is_not_called_fine() -> None:
    def prepare(fake: api_server.ApiServer) -> None:
        fill(fake)
        fake.objects.delete(RULES["configmaps"], ("kube-system", "kube-proxy"), {})

    found = examined(prepare)["kube-proxy"]
    assert (found.level, "no ConfigMap" in found.reason) == (Level.WARNING, True)


def test_nothing_is_written() -> None:
    async def body() -> list[str]:
        async with api_server.serving() as fake, Client(fake.cluster) as api:
            fill(fake)
            before = len(fake.objects.writes)
            await gather.cluster(api, ())
            assert fake.calls
            return fake.objects.writes[before:]

    assert event_loops.run(body()) == []


@pytest.fixture
def invoked(tmp_path: Path) -> Any:
    """Run the command in a thread beside a fake server, with its kubeconfig."""

    def run(settings: str, *words: str, unavailable: bool = False) -> Result:
        config = tmp_path / "settings.yaml"
        config.write_text(settings)

        async def body() -> Result:
            async with api_server.serving() as fake:
                fill(fake)
                fake.unavailable = unavailable
                kubeconfig = fake.kubeconfig(tmp_path / "kubeconfig")
                argv = ["preflight", f"--config={config}", f"--kubeconfig={kubeconfig}", *words]
                return await asyncio.to_thread(CliRunner().invoke, cli.main, argv)

        return event_loops.run(body())

    return run


def test_the_command_ends_with_0_where_there_is_no_problem(invoked: Any) -> None:
    ended = invoked(POOLS)
    assert ended.exit_code == 0
    assert "OK       Kubernetes version" in ended.output
    assert ended.output.endswith("10 ok, 0 warning, 0 problem\n")


def test_the_command_ends_with_1_and_json_names_the_problem(invoked: Any) -> None:
    ended = invoked("addressPools: [{name: vips, addresses: [10.96.4.0/24]}]", "-o", "json")
    tree = json.loads(ended.output)
    (bad,) = [it for it in tree["findings"] if it["level"] == "problem"]
    assert (ended.exit_code, tree["passed"]) == (1, False)
    assert bad["title"] == "Pools and Service networks"
    assert bad["fix"]


def test_a_server_that_does_not_answer_is_one_finding(invoked: Any) -> None:
    ended = invoked(POOLS, "-o", "json", unavailable=True)
    (only,) = json.loads(ended.output)["findings"]
    assert (ended.exit_code, only["title"]) == (1, "API server")


def test_settings_that_do_not_load_end_it(invoked: Any) -> None:
    ended = invoked("adressPools: []")
    assert (ended.exit_code, "adressPools" in ended.output) == (1, True)


def test_a_node_is_examined_without_a_cluster() -> None:
    ended = CliRunner(env={"KUBECONFIG": ""}).invoke(
        cli.main, ["preflight", "--node", "-o", "json"]
    )
    tree = json.loads(ended.output)
    titles = {finding["title"] for finding in tree["findings"]}
    assert {"Open vSwitch", "rp_filter", "MTU"} <= titles
    assert "API server" not in titles
    assert ended.exit_code == (0 if tree["passed"] else 1)


def test_a_kubeconfig_that_is_not_there_is_a_finding() -> None:
    (only,) = event_loops.run(examine.cluster(TREE, Path("/nonexistent/kubeconfig")))
    assert (only.level, "/nonexistent/kubeconfig" in only.reason) == (Level.PROBLEM, True)


class _Resolver(asyncio.DatagramProtocol):
    """Says SERVFAIL to every question."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.transport.sendto(data[:2] + b"\x81\x82" + data[4:], addr)


def test_a_resolver_is_asked_over_udp() -> None:
    async def body() -> Delegation:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(_Resolver, ("127.0.0.1", 0))
        try:
            return await gather.ask(transport.get_extra_info("sockname")[:2], "lb.example.com")
        finally:
            transport.close()

    assert event_loops.run(body()) == Delegation(2, ())


def test_text_has_the_fix_under_the_reason() -> None:
    text = findings.render_text([findings.warning("A", "why", "first\nsecond")])
    assert text.splitlines() == [
        "WARNING  A  why",
        "            fix: first",
        "                 second",
        "0 ok, 1 warning, 0 problem",
    ]
