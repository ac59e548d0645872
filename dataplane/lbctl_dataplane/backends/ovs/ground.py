"""What the OVS database says about this node, as facts for rules. Computes, reads nothing."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

from lbctl.model import errors
from lbctl.model.virtual_service import Address
from lbctl_dataplane.backends.ovs import ovsdb
from lbctl_dataplane.rules.ovs import pipeline

Rows = Mapping[str, Mapping[str, ovsdb.Row]]

ADDRESS_KEYS = ("pod-ip", "pod-ip6")
"""External ids of a pod's interface that hold its addresses."""


@dataclass(frozen=True, slots=True)
class Names:
    """Settings: how the node's switch is called."""

    bridge: str
    service_interface: str
    answer_pings: bool = True
    """VIPs with members here answer them."""


@dataclass(frozen=True, slots=True)
class Switch:
    """Facts of the switch, and the devices that the kernel must be kept off."""

    ground: pipeline.Ground
    devices: tuple[str, ...]
    """Sorted; empty where the kernel's own datapath takes the frames."""


def read(
    rows: Rows, names: Names, legs: tuple[Address, ...] = (), *, meters: bool = True
) -> Switch:
    """Return the facts. Raises Unavailable naming what is missing and the cure.

    Whether the switch has meters the database does not tell.
    """
    bridge = next((row for row in rows["Bridge"].values() if row["name"] == names.bridge), None)
    if bridge is None:
        raise errors.Unavailable(
            f"OVS has no bridge {names.bridge} (setting agent.bridge); ovs-vsctl add-br makes one"
        )
    interfaces = _interfaces(rows, bridge)
    service = interfaces.get(names.service_interface)
    own = interfaces.get(names.bridge)
    if service is None or not _ofport(service):
        raise errors.Unavailable(
            f"bridge {names.bridge} has no working port {names.service_interface} "
            "(setting agent.serviceInterface); ovs-vsctl add-port adds it"
        )
    pods = _pods(interfaces)
    ground = pipeline.Ground(
        service_port=_ofport(service),
        service_mac=str(ovsdb.scalar(service["mac_in_use"])),
        gateway_mac=str(ovsdb.scalar(own["mac_in_use"])) if own else "02:00:00:00:00:01",
        pods=pods,
        legs=legs,
        answer_pings=names.answer_pings,
        meters=meters,
    )
    # With the kernel datapath a drop at ingress would come before OVS has the frame.
    guarded = bridge["datapath_type"] == "netdev"
    devices = {pod.device for pod in pods.values()} | {names.service_interface}
    return Switch(ground, tuple(sorted(devices)) if guarded else ())


def _interfaces(rows: Rows, bridge: ovsdb.Row) -> dict[str, ovsdb.Row]:
    ports = (rows["Port"].get(uuid) for uuid in ovsdb.uuids(bridge["ports"]))
    uuids = (uuid for port in ports if port for uuid in ovsdb.uuids(port["interfaces"]))
    found = (rows["Interface"].get(uuid) for uuid in uuids)
    return {str(row["name"]): row for row in found if row}


def _ofport(interface: ovsdb.Row) -> int:
    number = ovsdb.scalar(interface["ofport"])
    return int(number) if number is not None and int(number) > 0 else 0


def _pods(interfaces: Mapping[str, ovsdb.Row]) -> dict[Address, pipeline.PodPort]:
    pods: dict[Address, pipeline.PodPort] = {}
    for name, row in interfaces.items():
        ids = ovsdb.text_map(row["external_ids"])
        if not _ofport(row) or "attached-mac" not in ids:
            continue
        port = pipeline.PodPort(_ofport(row), ids["attached-mac"], name)
        for key in ADDRESS_KEYS:
            if ids.get(key):
                pods[ipaddress.ip_address(ids[key])] = port
    return pods
