"""The whole lab loses its power and comes back on what its disks hold."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest

from lab_commands import eventually, kubectl, kubectl_json, lab
from service_lab import SUBDOMAIN, Kuard, client, dig, url

pytestmark = [pytest.mark.lab, pytest.mark.lab_last, pytest.mark.usefixtures("lab")]
NAMESPACE = "restart"
CAUGHT_UP_S = 30.0
REQUESTED = "198.18.77.7"


def service(name: str, **fields: object) -> dict[str, object]:
    annotations = fields.pop("annotations", {})
    ports = fields.pop("ports", [{"port": 80}])
    spec = {"type": "LoadBalancer", "selector": {"app": "none"}, "ports": ports, **fields}
    metadata = {"name": name, "namespace": NAMESPACE, "annotations": annotations}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


SHARED = {"lbctl.io/shared-ip": "both"}
SERVICES = [
    *(service(f"plain-{n}") for n in range(5)),
    *(service(f"dual-{n}", ipFamilyPolicy="RequireDualStack") for n in range(3)),
    service("requested", annotations={"lbctl.io/load-balancer-ips": REQUESTED}),
    service("shared-tcp", annotations=SHARED),
    service("shared-udp", annotations=SHARED, ports=[{"port": 53, "protocol": "UDP"}]),
]


@pytest.fixture(scope="module")
def kuard(lab, tmp_path_factory):
    """A dual-stack kuard with two pods, beside Services with every kind of address."""
    made = Kuard(NAMESPACE)
    made.create(2)
    manifest = tmp_path_factory.mktemp("restart") / "services.json"
    manifest.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": SERVICES}))
    kubectl("apply", "-f", str(manifest))
    eventually(lambda: all(addresses().values()), 30, "every Service has its addresses")
    yield made
    made.delete()


@dataclass(frozen=True)
class Before:
    """What a restart has to keep."""

    shown: dict[str, list[str]]
    allocated: dict[str, Any]
    serial: int


@pytest.fixture(scope="module")
def before(kuard):
    """What stood in the API and in the DNS before the restart."""
    stood = Before(addresses(), allocations(), serial())
    lab("restart", timeout_s=240)
    return stood


def addresses() -> dict[str, list[str]]:
    """Return what each Service of ours shows to its clients."""
    found = kubectl_json("-n", NAMESPACE, "get", "services")["items"]
    return {
        obj["metadata"]["name"]: [
            entry["ip"] for entry in obj["status"]["loadBalancer"].get("ingress", [])
        ]
        for obj in found
    }


def allocations() -> dict[str, Any]:
    """Return every allocation of a Service of ours: which object it is and what it says.

    Those of other tests' Services may be going while we look.
    """
    found = kubectl_json("get", "ipallocations")["items"]
    return {
        obj["metadata"]["name"]: (obj["metadata"]["uid"], obj["spec"])
        for obj in found
        if any(holder["namespace"] == NAMESPACE for holder in obj["spec"].get("holders", ()))
    }


def serial() -> int:
    """Return the zone's serial."""
    return int(dig("+short", SUBDOMAIN, "SOA").split()[2])


def test_traffic_by_name_comes_back_without_help(kuard, before):
    def answered(flag: str) -> bool:
        try:
            said = client("curl", "-sS", "-m", "3", flag, url(kuard.host))
        except AssertionError:
            return False
        return said.startswith("pod=kuard-")

    for flag in ("-4", "-6"):
        eventually(lambda flag=flag: answered(flag), CAUGHT_UP_S, f"an answer by curl {flag}")
    kuard.wait("Up", "2/2")


def test_no_address_changed(before):
    assert addresses() == before.shown
    assert allocations() == before.allocated


def test_no_address_is_given_twice(before):
    new = ("-n", NAMESPACE, "create", "service", "loadbalancer", "new", "--tcp=80")
    kubectl(*new)
    eventually(lambda: addresses()["new"], CAUGHT_UP_S, "a new Service has its address")
    given = Counter(ip for name, ips in addresses().items() if name != "shared-udp" for ip in ips)
    assert max(given.values()) == 1
    assert not set(addresses()["new"]) & {ip for ips in before.shown.values() for ip in ips}


def test_who_asked_for_an_address_or_shares_one_still_has_it(before):
    now = addresses()
    assert now["requested"] == [REQUESTED]
    assert now["shared-tcp"] == now["shared-udp"]


def test_names_lead_to_the_same_addresses_and_the_serial_does_not_go_back(kuard, before):
    said = dig("+short", kuard.host, "A", kuard.host, "AAAA").split()
    assert sorted(said) == sorted(before.shown["kuard"])
    assert serial() >= before.serial
