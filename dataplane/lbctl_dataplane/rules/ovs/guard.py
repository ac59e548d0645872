"""The nftables guard that keeps a node's kernel off frames that belong to Open vSwitch. Pure.

The userspace datapath reads frames by packet sockets, which see them before the ingress hook. The
kernel still gets its copy of each: without a guard it answers ARP, and forwards packets twice
(measured: a VIP looped through the default route).
"""

import json
from collections.abc import Collection

from lbctl import delta
from lbctl_dataplane.rules import constants

_PREFIX = "guard-"


def desired(devices: Collection[str]) -> dict[str, str]:
    """Return the wanted chains: policy by device."""
    return dict.fromkeys(devices, "drop")


def parse(ruleset: str) -> dict[str, str]:
    """Return the chains in the JSON of `nft -j list table netdev lbctl`.

    Kernels before 6.16 remove a chain with its device; later ones keep it and attach it again to
    the next device of that name. Either way a chain that is listed guards the device it names.
    """
    objects = json.loads(ruleset).get("nftables", []) if ruleset.strip() else []
    chains = (entry["chain"] for entry in objects if "chain" in entry)
    return {
        chain["name"].removeprefix(_PREFIX): chain.get("policy", "")
        for chain in chains
        if chain["name"].startswith(_PREFIX)
    }


def render(change: delta.Delta[str, str]) -> str:
    """Return one nft transaction that makes the change."""
    table = f"netdev {constants.NFT_TABLE}"
    lines = [f"add table {table}"]
    lines += [f"delete chain {table} {_PREFIX}{device}" for device in sorted(change.deletes)]
    lines += [
        f'add chain {table} {_PREFIX}{device} {{ type filter hook ingress device "{device}" '
        f"priority 0; policy {policy}; }}"
        for device, policy in sorted(change.upserts.items())
    ]
    return "\n".join(lines) + "\n"
