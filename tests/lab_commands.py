"""Drive the lab by its public commands, as a person would. For end-to-end tests."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import spaces

LBCTL = str(Path(sys.executable).parent / "lbctl")
ROOT = "/var/lib/lbctl-lab"
IMAGE = "lbctl.test/kuard:1"
KUBECTL = (f"{ROOT}/bin/kubectl", f"--kubeconfig={ROOT}/admin.kubeconfig")
HELM_HOMES = ("CACHE", "CONFIG", "DATA")


def lab(*words: str, timeout_s: float = 120) -> str:
    """Run `lbctl lab WORDS`, return its output; fails the test with what it said."""
    return run([LBCTL, "lab", *words], timeout_s=timeout_s)


def run(argv: list[str], timeout_s: float = 120) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=timeout_s)
    assert done.returncode == 0, f"{' '.join(argv)}\n{done.stdout}{done.stderr}"
    return done.stdout


def kubectl(*words: str, timeout_s: float = 120) -> str:
    """Run the lab's kubectl as the admin."""
    return run([*KUBECTL, *words], timeout_s=timeout_s)


def helm(*words: str, timeout_s: float = 300) -> str:
    """Run the lab's helm as the admin; it keeps its files in the lab's folder."""
    homes = [f"HELM_{kind}_HOME={ROOT}/release/{kind.lower()}" for kind in HELM_HOMES]
    argv = ["env", f"KUBECONFIG={ROOT}/admin.kubeconfig", *homes, f"{ROOT}/bin/helm", *words]
    return run(argv, timeout_s=timeout_s)


def kubectl_json(*words: str) -> dict[str, Any]:
    """Return what the lab's kubectl prints as JSON."""
    found: dict[str, Any] = json.loads(kubectl(*words, "-o", "json"))
    return found


def eventually(check: Callable[[], object], timeout_s: float, what: str) -> None:
    """Wait until a check holds; the timeout is for safety and no part of the claim."""
    end = time.monotonic() + timeout_s
    while not check():
        assert time.monotonic() < end, f"not within {timeout_s} s: {what}"
        time.sleep(0.2)


def traces() -> list[str]:
    """Return all of a lab that is found on this machine, by other means than `down`'s."""
    found = [f"process {line}" for line in _processes()]
    links = run(["ip", "-o", "link"]).splitlines()
    found += [f"link {line}" for line in links if "lbctl-net" in line or ": lbctl-n" in line]
    found += [f"mount {line}" for line in _lines("/proc/self/mounts")
              if "lbctl-" in line and spaces.PREFIX not in line]  # fmt: skip
    found += [f"route {line}" for line in run(["ip", "route", "show", "table", "all"]).splitlines()
              if "172.31.24" in line or "172.30.242." in line or "10.244." in line]  # fmt: skip
    found += [f"rule {line}" for line in run(["nft", "list", "ruleset"]).splitlines()
              if "KUBE" in line or "kube-proxy" in line or "lbctl" in line]  # fmt: skip
    places = ("/run/netns/lbctl-client", "/run/netns/lbctl-router", "/run/netns/lbctl-node-1",
              "/var/lib/cni", "/run/containerd", "/var/log/pods", "/var/log/containers",
              "/var/lib/kubelet", ROOT)  # fmt: skip
    found += [f"file {place}" for place in places if os.path.lexists(place)]
    return found + [f"in a pod: {line}" for line in _in_pods()]


def _processes() -> list[str]:
    names = ("etcd", "kube-", "kubelet", "containerd", "ovs-vswitchd", "ovsdb-server", "pause")
    alive = [line for line in run(["ps", "-eo", "stat=,pid=,comm=,args="]).splitlines()
             if not line.startswith("Z")]  # fmt: skip
    return [line for line in alive if line.split()[2].startswith(names) and ROOT in line]


def _in_pods() -> list[str]:
    """Return what has its files in the lab's folder: a pod's process carries no name of the lab."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if f"upperdir={ROOT}/" in (path / "mountinfo").read_text().partition("\n")[0]:
                found.append((path / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # it has ended meanwhile
    return found


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()
