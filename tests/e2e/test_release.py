"""A release comes, changes, goes back and goes under traffic, as helm does it for an operator."""

import contextlib
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import lab_commands
from lab_commands import eventually, helm, kubectl, kubectl_json, lab
from service_lab import Kuard, client, dig, programmed, requests, router, url

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("lab")]
SYSTEM = "lbctl-system"
CHART = str(Path(__file__).parents[2] / "charts" / "lbctl")
RELEASE = ("lbctl", CHART, "-n", SYSTEM)
VALUES = ("--values", f"{lab_commands.ROOT}/release/values.yaml")
WAIT = ("--wait", "--timeout", "4m")
RATE = 100
PODS = 6
"""Two controllers, two DNS servers, an agent on each of two nodes."""
COMPONENTS = 3


@pytest.fixture(scope="module")
def kuard(lab):
    """A dual-stack kuard with three pods."""
    made = Kuard("release")
    made.create(3)
    yield made
    made.delete()


@pytest.fixture(scope="module")
def next_tag(lab, tmp_path_factory):
    """The images once more under another tag, on every node, as a new version would be."""
    folder = tmp_path_factory.mktemp("images")
    for archive in lab_commands.lab("image", "build", "--output", str(folder)).split():
        name = Path(archive).name.rpartition("-")[0]
        lab_commands.lab("load-image", f"lbctl.io/{name}:next", archive)
    return "next"


@contextlib.contextmanager
def addresses_seen(*services: tuple[str, str]) -> Iterator[dict[str, list[str]]]:
    """Collect every external address that Services show meanwhile, in the order they came."""
    seen: dict[str, list[str]] = {f"{space}/{name}": [] for space, name in services}
    path = "{.metadata.namespace}/{.metadata.name} {.status.loadBalancer.ingress[*].ip}{'\\n'}"
    words = ["get", "services", "--all-namespaces", "--watch", f"--output=jsonpath={path}"]
    with subprocess.Popen(
        [*lab_commands.KUBECTL, *words], stdout=subprocess.PIPE, text=True
    ) as watch:

        def read() -> None:
            assert watch.stdout is not None
            for line in watch.stdout:
                name, _, shown = line.rstrip("\n").partition(" ")
                if name in seen and (not seen[name] or seen[name][-1] != shown):
                    seen[name].append(shown)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            eventually(lambda: all(seen.values()), 20, "the watch shows the Services")
            yield seen
        finally:
            watch.terminate()
            reader.join()


def images() -> set[str]:
    """Return the images of our pods that are not ending."""
    pods = kubectl_json("-n", SYSTEM, "get", "pods")["items"]
    return {
        container["image"]
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"] and pod["status"]["phase"] == "Running"
        for container in pod["spec"]["containers"]
    }


def settled() -> bool:
    """Tell whether all pods of ours are ready, none is missing, and all of one version."""
    pods = kubectl_json("-n", SYSTEM, "get", "pods")["items"]
    staying = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    ready = [
        any(
            c["type"] == "Ready" and c["status"] == "True"
            for c in pod["status"].get("conditions", ())
        )
        for pod in staying
    ]
    return len(ready) == PODS and all(ready) and len(images()) == COMPONENTS


def tell(what: str, result: dict, took_s: float) -> None:
    counts = f"{result['sent']} requests, {len(result['failed'])} failed"
    slow = f"slowest {result['slowest_s'] * 1000:.0f} ms, over a second: {result['slow']}"
    print(f"\n{what}: {took_s:.0f} s, {counts}, {slow}")


@pytest.mark.parametrize("verb", ["upgrade", "rollback"])
def test_a_new_version_fails_no_request_and_moves_no_address(kuard, next_tag, verb):
    words = {
        "upgrade": ("upgrade", *RELEASE, *VALUES, "--set", f"image.tag={next_tag}", *WAIT),
        "rollback": ("rollback", "lbctl", "-n", SYSTEM, *WAIT),
    }
    before = images()
    watched = addresses_seen((kuard.namespace, "kuard"), (SYSTEM, "lbctl-dns"))
    with watched as seen, requests(url(kuard.host), rate=RATE) as result:
        time.sleep(2)
        began = time.monotonic()
        helm(*words[verb])
        took_s = time.monotonic() - began
        eventually(settled, 120, "every pod replaced and ready")
        time.sleep(3)
    tell(f"helm {verb}", result, took_s)
    assert images().isdisjoint(before)
    assert result["sent"] > 5 * RATE
    assert result["failed"] == []
    assert [len(addresses) for addresses in seen.values()] == [1, 1], seen
    assert len(result["pods"]) == 3


def test_values_count_without_a_new_pod(kuard):
    """A changed TTL is answered by the pods that ran before."""
    eventually(settled, 120, "no pod on its way")
    before = running()
    helm("upgrade", *RELEASE, *VALUES, "--set", "nameservice.ttl=7", *WAIT)
    asked = ("+tries=3", "+noall", "+answer", kuard.host)
    eventually(lambda: re.search(r"\s7\s+IN\s+A\s", dig(*asked)), 120, "the new TTL")
    assert running() == before
    helm("rollback", "lbctl", "-n", SYSTEM, *WAIT)


def test_an_unknown_value_is_refused_by_its_name_and_changes_nothing(kuard):
    before = helm("list", "-n", SYSTEM, "-o", "json")
    argv = ["upgrade", *RELEASE, *VALUES, "--set", "nameservice.tll=7"]
    with pytest.raises(AssertionError, match="tll"):
        helm(*argv)
    assert helm("list", "-n", SYSTEM, "-o", "json") == before


def test_uninstall_can_keep_all_traffic_and_install_takes_it_over(kuard):
    kept = kuard.addresses()
    helm("upgrade", *RELEASE, *VALUES, "--set", "uninstall.keepTraffic=true", *WAIT)
    watched = addresses_seen((kuard.namespace, "kuard"), (SYSTEM, "lbctl-dns"))
    with watched as seen, requests(url(kuard.host), rate=RATE) as result:
        time.sleep(1)
        began = time.monotonic()
        helm("uninstall", "lbctl", "-n", SYSTEM, *WAIT)
        kuard.kubectl("scale", "deployment/kuard", "--replicas=5")
        kuard.kubectl("rollout", "status", "deployment/kuard", "--timeout=60s")
        eventually(lambda: all_answer(kuard), 30, "new pods get traffic without a controller")
        assert not any("controller" in name for name in running())
        helm("install", *RELEASE, *VALUES, *WAIT)
        took_s = time.monotonic() - began
        time.sleep(2)
    tell("uninstall keeping traffic, then install", result, took_s)
    assert result["failed"] == []
    assert [len(addresses) for addresses in seen.values()] == [1, 1], seen
    kuard.scale(3)
    assert kuard.addresses() == kept


def all_answer(kuard: Kuard) -> bool:
    """Tell whether each pod is among those that answer 80 requests."""
    script = f"for i in $(seq 80); do curl -sS -m 5 {url(kuard.host)}; done"
    said = client("sh", "-c", script)
    return all(f"pod={pod} " in said for pod in kuard.pods())


def running() -> set[str]:
    """Return the names of our pods that are not ending."""
    pods = kubectl_json("-n", SYSTEM, "get", "pods")["items"]
    return {pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]}


def test_uninstall_leaves_nothing_and_install_serves_again(kuard):
    addresses = kuard.addresses()
    began = time.monotonic()
    helm("uninstall", "lbctl", "-n", SYSTEM, *WAIT)
    print(f"\nhelm uninstall: {time.monotonic() - began:.0f} s")
    assert kubectl("get", "lbvs,ipallocations", "-o", "name") == ""
    service = kuard.service()
    assert service["status"]["loadBalancer"] == {}
    assert "finalizers" not in service["metadata"]
    assert all(
        not c["type"].startswith("lbctl.io/") for c in service["status"].get("conditions", ())
    )
    eventually(lambda: left() == "", 90, "the last pod has ended")
    for address in addresses:
        for node in ("node-1", "node-2"):
            assert address not in programmed(node)
        assert address not in router()
    helm("install", *RELEASE, *VALUES, *WAIT)
    lab("renew-token", "agent-router")  # the old one went with its account
    kuard.wait("Up", "3/3")
    eventually(lambda: client("curl", "-sS", "-m", "3", url(kuard.host)).startswith("pod=kuard-"),
               20, "traffic by name again")  # fmt: skip


def left() -> str:
    """Return the names of everything of ours that the cluster still has."""
    ours = ("-l", "app.kubernetes.io/part-of=lbctl", "--all-namespaces")
    return kubectl("get", LEFT_KINDS, *ours, "-o", "name")


LEFT_KINDS = (
    "pods,deployments,daemonsets,services,configmaps,serviceaccounts,roles,rolebindings,"
    "clusterroles,clusterrolebindings,validatingadmissionpolicies,poddisruptionbudgets,jobs"
)
