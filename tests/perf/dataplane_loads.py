"""What it takes to program thousands of Services at once: by rule layout, and in one bundle."""

import ipaddress
import os
import subprocess
import time
from dataclasses import dataclass

import bench_nft_layouts
import dataplane_space as space
from bench_nft_layouts import Layout

import dataplane_bed
from lbctl_dataplane.rules.ovs import compiler, openflow
from lbctl_dataplane.rules.ovs.pipeline import Ground, PodPort

BRIDGE = "br-load"
GIVE_UP_S = 120.0


@dataclass(frozen=True)
class Load:
    """What nft took of one layout, CPU seconds of it and of the kernel's part."""

    all_s: float
    change_s: float


def layout(kind: Layout, services: int) -> Load:
    """Load Services into an empty namespace and change one."""
    with bench_nft_layouts.namespace() as fresh:
        load, change = bench_nft_layouts.load_and_change(fresh, kind, services)
    return Load(load.cpu_s, change.cpu_s)


def bundle_s(services: int, rounds: int) -> list[float]:
    """Return the seconds that a switch took for a bundle of Services, each time from nothing."""
    found = []
    with space.node("bundle", space.SwitchedNode) as bed:
        text = bundle(bed, services)
        for _ in range(rounds):
            bed.vsctl("add-br", BRIDGE, "--", "set", "bridge", BRIDGE, "datapath_type=netdev",
                      "fail_mode=secure", "protocols=OpenFlow15")  # fmt: skip
            argv = ["ovs-ofctl", "-O", "OpenFlow15", "bundle", BRIDGE, "-"]
            began = time.monotonic()
            subprocess.run(
                argv,
                input=text,
                text=True,
                check=True,
                env={**os.environ, **bed.env},
                timeout=GIVE_UP_S,
            )
            found.append(time.monotonic() - began)
            bed.vsctl("del-br", BRIDGE)
    return found


def bundle(bed: dataplane_bed.Bed, services: int) -> str:
    """Return what the agent would send to a switch that holds nothing of it."""
    pods = {
        ipaddress.ip_address(address): PodPort(number, f"02:00:00:00:00:{number:02x}", "")
        for number, address in enumerate(space.pod_addresses(bed), 1)
    }
    mac = dataplane_bed.BRIDGE_MAC
    made = compiler.Compiler()
    made.update(space.frontends(bed, services), Ground(dataplane_bed.SERVICE_PORT, mac, mac, pods))
    return openflow.render_bundle(made.changes())
