"""What the Service tests share: kuard in a namespace of its own, the client's eyes, its traffic."""

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lab_commands
from lab_commands import eventually, kubectl, kubectl_json, lab

SUBDOMAIN = "lb.lab.test"
TRAFFIC = str(Path(__file__).parent / "e2e" / "traffic.py")


class Kuard:
    """One Deployment and its LoadBalancer Service in a namespace of its own."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.host = f"kuard.{namespace}.{SUBDOMAIN}"
        self.key = f"{namespace}.kuard"

    def create(self, replicas: int, *, families: str = "RequireDualStack") -> None:
        """Create namespace, Deployment and Service and wait until it is Up."""
        kubectl("create", "namespace", self.namespace)
        self.kubectl("create", "deployment", "kuard", f"--image={lab_commands.IMAGE}",
                     f"--replicas={replicas}")  # fmt: skip
        self.kubectl("rollout", "status", "deployment/kuard", "--timeout=90s")
        ports = [{"name": "http", "port": 8080}, {"name": "lines", "port": 9090}]
        spec = {"ports": ports, "ipFamilyPolicy": families}
        overrides = json.dumps({"spec": spec})
        self.kubectl("expose", "deployment", "kuard", "--type=LoadBalancer", "--port=8080",
                     f"--overrides={overrides}")  # fmt: skip
        self.wait("Up", f"{replicas}/{replicas}")

    def kubectl(self, *words: str) -> str:
        """Run kubectl in the namespace."""
        return kubectl("-n", self.namespace, *words)

    def service(self) -> Any:
        """Return the Service as it stands in the API."""
        return kubectl_json("-n", self.namespace, "get", "service", "kuard")

    def addresses(self) -> list[str]:
        """Return the external addresses."""
        return [entry["ip"] for entry in self.service()["status"]["loadBalancer"]["ingress"]]

    def status(self) -> dict[str, Any]:
        """Return the status of the virtual service; empty when there is none."""
        found = kubectl_json("get", "lbvs")["items"]
        mine = [obj for obj in found if obj["metadata"]["name"] == self.key]
        status: dict[str, Any] = mine[0].get("status", {}) if mine else {}
        return status

    def wait(self, state: str, members: str, timeout_s: float = 60) -> None:
        """Wait until the virtual service has that state and those members."""

        def reached() -> bool:
            status = self.status()
            return status.get("state") == state and status.get("members") == members

        eventually(reached, timeout_s, f"{self.key} is {state} with {members}")

    def patient(self) -> None:
        """Let pods count when they answer, and go on answering for a while after they are told.

        So Kubernetes advises it: nobody can know of a pod's end before it has begun.
        """
        probe = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}
        stop = {"preStop": {"sleep": {"seconds": 3}}}
        container = {"name": "kuard", "readinessProbe": probe, "lifecycle": stop}
        strategy = {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
        spec = {"strategy": strategy, "template": {"spec": {"containers": [container]}}}
        self.kubectl("patch", "deployment", "kuard", f"--patch={json.dumps({'spec': spec})}")
        self.kubectl("rollout", "status", "deployment/kuard", "--timeout=90s")

    def scale(self, replicas: int) -> None:
        """Scale and wait until the members follow."""
        self.kubectl("scale", "deployment/kuard", f"--replicas={replicas}")
        self.wait("Up" if replicas else "Down", f"{replicas}/{replicas}")

    def pods(self) -> set[str]:
        """Return the names of the pods that are not ending."""
        items = kubectl_json("-n", self.namespace, "get", "pods")["items"]
        return {
            pod["metadata"]["name"] for pod in items if "deletionTimestamp" not in pod["metadata"]
        }

    def pod_addresses(self) -> dict[str, list[str]]:
        """Return the addresses of each pod, IPv4 first."""
        items = kubectl_json("-n", self.namespace, "get", "pods")["items"]
        return {
            pod["metadata"]["name"]: [entry["ip"] for entry in pod["status"]["podIPs"]]
            for pod in items
        }

    def patch(self, spec: dict[str, Any]) -> None:
        """Change the Service's spec."""
        patch = json.dumps({"spec": spec})
        self.kubectl("patch", "service", "kuard", "--type=merge", f"--patch={patch}")

    def delete(self) -> None:
        """Delete the namespace with all in it."""
        kubectl("delete", "namespace", self.namespace, "--timeout=90s")


def client(*words: str) -> str:
    """Run a command at the client."""
    return lab("exec", "client", "--", *words)


def dig(*words: str) -> str:
    """Ask the client's own resolver, which is lbctl."""
    return client("dig", "+time=2", "+tries=1", *words)


def curl_exit(target: str) -> int:
    """Ask for a URL at the client; return curl's exit code."""
    return int(client("sh", "-c", f"curl -s -m 2 -o /dev/null {target}; echo $?"))


def trace(source: str, place: str, *words: str) -> Any:
    """Return what `lbctl trace` tells, whatever becomes of the packet."""
    kubeconfig = f"--kubeconfig={lab_commands.ROOT}/admin.kubeconfig"
    argv = [lab_commands.LBCTL, "trace", source, place, kubeconfig, "-o", "json", *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


HELD = {
    "ovs": "ovs-ofctl -O OpenFlow15 dump-flows br-int; ovs-ofctl -O OpenFlow15 dump-groups br-int",
    "nft": "nft list table inet lbctl-node",
    "announce-only": "true",
}


def programmed(node: str) -> str:
    """Return all that lbctl may hold on a node: flows and groups of its switch, or its table."""
    backend = json.loads(lab("status", "-o", "json"))["backend"]
    return lab("exec", node, "--", "sh", "-c", HELD[backend])


def answering(target: str, requests: int) -> set[str]:
    """Return the pods that answer so many requests of the client's."""
    script = f"for i in $(seq {requests}); do curl -sS -m 5 {target} || true; done"
    return set(re.findall(r"^pod=(\S+)", client("sh", "-c", script), re.M))


def router() -> str:
    """Return all that the router has been told."""
    show = (
        "nft list ruleset; ip rule; ip -6 rule; ip route show table all; ip -6 route show table all"
    )
    return lab("exec", "router", "--", "sh", "-c", show)


def url(address: str, port: int = 8080) -> str:
    """Return the URL of an address of either family or a name."""
    return f"http://[{address}]:{port}/" if ":" in address else f"http://{address}:{port}/"


@contextlib.contextmanager
def requests(target: str, rate: float = 20) -> Iterator[dict[str, Any]]:
    """Send requests from the client meanwhile; the dictionary holds the result afterwards."""
    result: dict[str, Any] = {}
    with _at_client("requests", target, str(rate)) as traffic:
        yield result
        said, _ = traffic.communicate(timeout=60)
    result |= json.loads(said)


@contextlib.contextmanager
def held(host: str, port: int, count: int) -> Iterator["Held"]:
    """Hold connections from the client meanwhile."""
    with _at_client("hold", host, str(port), str(count)) as traffic:
        yield Held(traffic)
        traffic.communicate(timeout=30)


class Held:
    """Connections that the client holds."""

    def __init__(self, traffic: "subprocess.Popen[str]") -> None:
        self._traffic = traffic

    def seen(self) -> dict[str, str]:
        """Return who answers each connection, or what broke it."""
        assert self._traffic.stdin is not None
        assert self._traffic.stdout is not None
        self._traffic.stdin.write("report\n")
        self._traffic.stdin.flush()
        seen: dict[str, str] = json.loads(self._traffic.stdout.readline())
        return seen


@contextlib.contextmanager
def _at_client(*words: str) -> Iterator["subprocess.Popen[str]"]:
    argv = [lab_commands.LBCTL, "lab", "exec", "client", "--", sys.executable, TRAFFIC, *words]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as traffic:
        try:
            yield traffic
        finally:
            traffic.kill()
