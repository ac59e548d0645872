"""The life of a release on a real API server: what helm makes, changes, keeps and removes there.

No controllers run on it, so there are no pods, and hooks that are jobs are left out.
"""

import itertools
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import chart_renders as chart
import real_api as real_api_server
from lbctl_lab import binaries, progress

pytestmark = pytest.mark.root

POOL = ("--set", "addressPools[0].addresses={192.0.2.0/24}")
FABRIC = ("--set", "fabric.name=leaf", "--set", "fabric.linux.router=r1")
TO_EAST = (*POOL, *FABRIC, "--set", "fabric.linux.clientInterfaces={east}")
TO_WEST = (*POOL, *FABRIC, "--set", "fabric.linux.clientInterfaces={west}")
CARRIERS = {"deployment/lbctl-dns", "daemonset/lbctl-agent", "service/lbctl-dns"}
PLACES = ("-n", chart.NAMESPACE)


class Cluster:
    """A fresh API server, by the programs that people use."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig
        self._kubectl = binaries.built(binaries.KUBERNETES, progress.Progress()) / "kubectl"

    def helm(self, *words: str) -> str:
        env = {"KUBECONFIG": str(self._kubeconfig), "HOME": str(self._kubeconfig.parent)}
        done = chart.helm(*words, *PLACES, env=env)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def install(self, *words: str, chart_folder: Path = chart.CHART) -> str:
        return self.helm("install", chart.RELEASE, str(chart_folder), "--create-namespace", *words)

    def upgrade(self, *words: str) -> str:
        return self.helm("upgrade", chart.RELEASE, str(chart.CHART), *words)

    def uninstall(self) -> str:
        return self.helm("uninstall", chart.RELEASE, "--no-hooks")

    def kubectl(self, *words: str) -> str:
        done = self.attempt(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def attempt(self, *words: str) -> subprocess.CompletedProcess[str]:
        argv = [str(self._kubectl), f"--kubeconfig={self._kubeconfig}", *words]
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)

    def names(self, kinds: str) -> set[str]:
        listed = self.kubectl("get", kinds, *PLACES, "-o", "json")
        items = json.loads(listed)["items"]
        return {f"{each['kind'].lower()}/{each['metadata']['name']}" for each in items}

    def fabric(self) -> chart.Object:
        found: chart.Object = json.loads(self.kubectl("get", "fabric/leaf", "-o", "json"))
        return found

    def uid(self, thing: str) -> str:
        return self.kubectl("get", thing, *PLACES, "-o", "jsonpath={.metadata.uid}")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with real_api_server.bare_apiserver(tmp_path) as (kubeconfig, _):
        yield Cluster(kubeconfig)


def our_definitions(cluster: Cluster) -> set[str]:
    return {name for name in cluster.names("crd") if name.endswith(".lbctl.io")}


def test_a_release_keeps_its_fabric_and_definitions_through_upgrade_and_rollback(
    cluster: Cluster,
) -> None:
    cluster.install(*TO_EAST)
    first = cluster.fabric()
    assert first["spec"]["linux"] == {"router": "r1", "clientInterfaces": ["east"]}
    crd = cluster.uid("crd/l4virtualservices.lbctl.io")
    service = cluster.uid("service/lbctl-dns")
    cluster.upgrade(*TO_WEST)
    assert cluster.fabric()["spec"]["linux"]["clientInterfaces"] == ["west"]
    cluster.helm("rollback", chart.RELEASE, "1")
    assert cluster.fabric()["metadata"]["uid"] == first["metadata"]["uid"]
    assert cluster.uid("crd/l4virtualservices.lbctl.io") == crd
    assert cluster.uid("service/lbctl-dns") == service


def test_an_uninstall_that_keeps_traffic_is_taken_over_by_the_next_install(
    cluster: Cluster,
) -> None:
    cluster.install(*TO_EAST)
    before = {thing: cluster.uid(thing) for thing in CARRIERS}
    cluster.upgrade("--reuse-values", "--set", "uninstall.keepTraffic=true")
    cluster.uninstall()
    assert cluster.names("deployments,daemonsets,services") == CARRIERS
    cluster.install(*TO_WEST)
    assert {thing: cluster.uid(thing) for thing in CARRIERS} == before
    assert "deployment/lbctl-controller" in cluster.names("deployments")
    assert cluster.fabric()["spec"]["linux"]["clientInterfaces"] == ["west"]


LEASE = "lease/lbctl-controller"
CHECKS = ("lbctl-controller", "agents", "no-dns")


def checked(cluster: Cluster, folder: Path, patience_s: int) -> subprocess.CompletedProcess[str]:
    """Run what `helm test` runs in its pod, with the token and the trust that it would have."""
    script = (chart.CHART / "files" / "check.py").read_text()
    for old, new in (
        ("/var/run/secrets/kubernetes.io/serviceaccount", str(folder)),
        ("PATIENCE_S = 60.0", f"PATIENCE_S = {patience_s}"),
    ):
        assert old in script
        script = script.replace(old, new)
    (folder / "check.py").write_text(script)
    (folder / "token").write_text(real_api_server.TOKEN)
    shutil.copy(folder / "apiserver.crt", folder / "ca.crt")
    server = cluster.kubectl("config", "view", "-o", "jsonpath={.clusters[0].cluster.server}")
    host, port = server.removeprefix("https://").split(":")
    env = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
    return subprocess.run(
        [sys.executable, "-IS", str(folder / "check.py"), *CHECKS],
        capture_output=True, text=True, check=False, timeout=60,
        env={**env, "NAMESPACE": chart.NAMESPACE},
    )  # fmt: skip


def renewed(cluster: Cluster, stopped: threading.Event) -> None:
    """Renew the leader's Lease, as a controller would, until told to stop."""
    numbers = itertools.count(1)
    while not stopped.wait(0.2):
        moment = f"2026-11-21T12:00:00.{next(numbers):06d}Z"
        # A long time to be patient: kubectl may take seconds on a busy machine.
        patch = json.dumps({"spec": {"renewTime": moment, "leaseDurationSeconds": 20}})
        cluster.kubectl("patch", LEASE, *PLACES, "--type=merge", "-p", patch)


def test_helm_test_wants_a_leader_that_renews_its_lease(cluster: Cluster, tmp_path: Path) -> None:
    cluster.install(*POOL)
    without = checked(cluster, tmp_path, patience_s=0)
    assert without.returncode == 1
    assert "not well: GET" in without.stdout
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "lbctl-controller", "namespace": chart.NAMESPACE},
        "spec": {
            "holderIdentity": "one",
            "leaseDurationSeconds": 1,
            "renewTime": "2026-11-21T12:00:00.000000Z",
        },
    }
    (tmp_path / "lease.json").write_text(json.dumps(lease))
    cluster.kubectl("create", "-f", str(tmp_path / "lease.json"))
    still = checked(cluster, tmp_path, patience_s=0)
    assert "one does not renew the Lease" in still.stdout
    stopped = threading.Event()
    renewing = threading.Thread(target=renewed, args=(cluster, stopped))
    renewing.start()
    try:
        cluster.kubectl("wait", LEASE, *PLACES, "--for=jsonpath={.spec.leaseDurationSeconds}=20")
        well = checked(cluster, tmp_path, patience_s=30)
    finally:
        stopped.set()
        renewing.join()
    said = [line for line in well.stdout.splitlines() if line.startswith("ok")]
    assert said == ["ok    one leads", "ok    0 agents have reported"]
    assert well.returncode == 0


OURS = "deployments,daemonsets,services,configmaps,serviceaccounts,pdb,roles,rolebindings,secrets"
OURS_EVERYWHERE = "clusterroles,clusterrolebindings,validatingadmissionpolicies"


@pytest.mark.parametrize("keep", ["true", "false"])
def test_an_uninstall_leaves_definitions_only_where_that_is_wanted(
    cluster: Cluster, keep: str
) -> None:
    cluster.install(*POOL, "--set", f"crds.keep={keep}")
    assert len(our_definitions(cluster)) == 7
    cluster.uninstall()
    left = cluster.names(OURS) | cluster.names(OURS_EVERYWHERE)
    assert {name for name in left if "lbctl" in name} == set()
    assert len(our_definitions(cluster)) == (7 if keep == "true" else 0)


def categories(cluster: Cluster) -> str:
    return cluster.kubectl("get", "crd/fabrics.lbctl.io", "-o", "jsonpath={.spec.names.categories}")


def test_definitions_are_upgraded_with_the_chart(cluster: Cluster, tmp_path: Path) -> None:
    older = Path(shutil.copytree(chart.CHART, tmp_path / "older"))
    definition = older / "files" / "crds" / "fabrics.yaml"
    definition.write_text(definition.read_text().replace("[lbctl]", "[older]"))
    cluster.install(*POOL, chart_folder=older)
    assert categories(cluster) == '["older"]'
    cluster.upgrade(*POOL)
    assert categories(cluster) == '["lbctl"]'


CONTROLLER = f"system:serviceaccount:{chart.NAMESPACE}:lbctl-controller"
POLICY = """
apiVersion: lbctl.io/v1alpha1
kind: L4Policy
metadata: {name: web, namespace: default}
spec: {targetRefs: [{name: web}]}
"""


def test_only_the_controller_says_which_spec_of_a_policy_was_good(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.install(*POOL)
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    jane, controller = "--as=jane", f"--as={CONTROLLER}"
    cluster.kubectl(jane, "apply", "-f", str(path))
    says = ("patch", "l4policy/web", "--subresource=status", "--type=merge", "-p")
    forged = '{"status": {"accepted": {"targetRefs": [{"name": "%d"}]}}}'
    for number in itertools.count():  # admission policies take a moment to come into force
        done = cluster.attempt(jane, *says, forged % number)
        if done.returncode:  # else anybody may: this server knows no rights
            break
    assert "only the lbctl controller writes the status of an L4Policy" in done.stderr
    cluster.kubectl(controller, *says, forged % 0)
