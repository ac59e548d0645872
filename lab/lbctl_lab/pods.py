"""Kill what runs in a pod, as a crash would. Shell."""

import json
import os
import signal

from lbctl_lab import controlplane, errors, images, plan, values

PREFIX = "pod/"
"""What tells a pod from a process of the host."""


def parse_tasks(listing: str) -> dict[str, int]:
    r"""Return container → pid from the output of `ctr tasks ls`.

    >>> parse_tasks("TASK    PID     STATUS\nab12    4242    RUNNING\ncd34    0    STOPPED\n")
    {'ab12': 4242}
    """
    rows = [line.split() for line in listing.splitlines()[1:]]
    return {row[0]: int(row[1]) for row in rows if row[2:] == ["RUNNING"]}


def kill(name: str) -> None:
    """End the processes of a pod's containers at once: `pod/[NAMESPACE/]NAME`."""
    namespace, _, pod = name.removeprefix(PREFIX).rpartition("/")
    words = ("-n", namespace or values.NAMESPACE, "get", "pod", pod, "-o", "json")
    found = json.loads(controlplane.kubectl(*words))
    node = next(
        node for node in plan.nodes(plan.MAX_NODES) if node.name == found["spec"]["nodeName"]
    )
    tasks = parse_tasks(images.ctr(node, "tasks", "ls"))
    statuses = found["status"].get("containerStatuses", [])
    containers = [status.get("containerID", "").rpartition("//")[2] for status in statuses]
    pids = [tasks[container] for container in containers if container in tasks]
    if not pids:
        raise errors.LabError(name, "no container of it runs", "kubectl get pods --all-namespaces")
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
