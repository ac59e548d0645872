"""End the whole lab and let it come back on what its disks hold. Shell; the readers are pure.

Kept is what a power cut leaves: etcd's records, images, containers' and switches' files, tokens,
lbctl's own state. Gone is what lives in memory: processes, pods, mounts, namespaces with their
links, routes, tables and connections.
"""

import dataclasses
import datetime
import json
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent import futures
from typing import Any

from lbctl_lab import (
    controlplane,
    deploy,
    networks,
    nodes,
    on_host,
    plan,
    processes,
    progress,
    state,
    sweep,
    values,
    waiting,
)

BACK_WITHIN_S = 180.0
"""For safety: 16 s with lbctl on the host, 45 s with it in pods on a busy machine."""
LOOK_EVERY_S = 0.5
"""Each look is a kubectl, which takes CPU from those that are waited for."""


def restart(lab: state.Lab, shown: progress.Progress) -> None:
    """End everything of the lab at once, start it again and wait until all of it works."""
    wanted = plan.nodes(lab.nodes)
    state.save(dataclasses.replace(lab, pid=os.getpid(), phase="starting"))
    with shown.step("all processes, pods, links ended"):
        sweep.end_all()
    began = datetime.datetime.now(datetime.UTC)
    with shown.step("namespaces, links, routes"):
        networks.make(wanted, lab.cni)
        if lab.kind == "processes":
            on_host.bring_dns_address()
    _start(("etcd", "apiserver"))
    with shown.step("switches, containerd"), futures.ThreadPoolExecutor(len(wanted)) as pool:
        list(pool.map(lambda node: _start_node(node, lab.cni), wanted))
    with shown.step("API server"):
        controlplane.wait_ready()
    _start(name for name, known in processes.records().items() if not processes.is_alive(known))
    with shown.step("nodes, controller and agents report"):
        _wait("lease", lambda listing: unrenewed(listing, _leases(lab, wanted), began))
    with shown.step("pods run again"):
        _wait("pods", lambda listing: unstarted(listing, began))
    if lab.kind != "bare":
        with shown.step("lbctl works"):
            deploy.wait_working(wanted)
    state.save(dataclasses.replace(lab, pid=os.getpid(), phase="up"))


def _wait(kind: str, left: Callable[[Any], list[str]]) -> None:
    """Wait until none of the cluster's objects of a kind is left to be waited for."""
    names: list[str] = []

    def none_is_left() -> bool:
        nonlocal names
        listing = controlplane.kubectl("get", kind, "--all-namespaces", "-o", "json")
        names = left(json.loads(listing))
        return not names

    why = "still to come back: "
    waiting.until(
        kind,
        none_is_left,
        timeout_s=BACK_WITHIN_S,
        why=lambda: why + ", ".join(names),
        pause_s=LOOK_EVERY_S,
    )


def _start(names: Iterable[str]) -> None:
    for name in names:
        processes.start(name)


def _start_node(node: plan.Node, cni: plan.Cni) -> None:
    nodes.forget_volatile(node)
    if cni == "ovs":
        nodes.start_switch(node)
    nodes.start_runtime(node)


def _leases(lab: state.Lab, wanted: Sequence[plan.Node]) -> frozenset[str]:
    """Return the Leases whose holders have to be back."""
    names = [node.name for node in wanted]
    found = {f"kube-node-lease/{name}" for name in names}
    if lab.kind != "bare":
        agents = (f"lbctl-agent-{name}" for name in (*names, plan.ROUTER))
        found |= {f"{values.NAMESPACE}/{lease}" for lease in ("lbctl-controller", *agents)}
    return frozenset(found)


def unrenewed(listing: Any, wanted: frozenset[str], since: datetime.datetime) -> list[str]:
    """Return those of the Leases (`<namespace>/<name>`) that nobody has renewed since."""
    renewed = {
        _place(item) for item in listing["items"] if _time(item["spec"].get("renewTime")) > since
    }
    return sorted(wanted - renewed)


def unstarted(listing: Any, since: datetime.datetime) -> list[str]:
    """Return the pods, but for those that go, whose containers are not ready or older."""
    return sorted(
        _place(item)
        for item in listing["items"]
        if item["status"].get("phase") == "Running"
        and "deletionTimestamp" not in item["metadata"]
        and not _runs(item["status"].get("containerStatuses", []), since)
    )


def _runs(containers: Sequence[Any], since: datetime.datetime) -> bool:
    # The API server tells starts by the second.
    after = since.replace(microsecond=0)
    return bool(containers) and all(
        each["ready"] and _time(each["state"].get("running", {}).get("startedAt")) >= after
        for each in containers
    )


def _place(item: Any) -> str:
    return f"{item['metadata']['namespace']}/{item['metadata']['name']}"


def _time(text: str | None) -> datetime.datetime:
    if not text:
        return datetime.datetime.min.replace(tzinfo=datetime.UTC)
    return datetime.datetime.fromisoformat(text)
