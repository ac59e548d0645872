"""Render the chart with the real helm, and take what came out apart."""

import functools
import json
import os
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

import generate_values
from lbctl_lab import binaries, progress

ROOT = Path(__file__).parents[1]
NAMESPACE = "lbctl-system"
RELEASE = "lbctl"
Object = dict[str, Any]


CHART = generate_values.CHART


@functools.cache
def helm_program() -> str:
    return str(binaries.built(binaries.HELM, progress.Progress()) / "helm")


POOL = ("--set", "addressPools[0].addresses={192.0.2.0/24}")
ALL_ON: dict[str, Any] = {
    "addressPools": [{"addresses": ["192.0.2.0/24"]}],
    "nameservice": {"subdomains": ["lb.example.com"]},
    "fabric": {"name": "one", "linux": {"router": "r", "clientInterfaces": ["eth9"]}},
    "networkPolicy": {"enabled": True},
    "metrics": {
        each: {"enabled": True} for each in ("serviceMonitor", "podMonitor", "rules", "dashboard")
    },
}
"""Values under which each value shows."""


def helm(*words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run helm; nothing of the user's own settings or clusters has a part in it."""
    own = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **(env or {})}
    return subprocess.run(
        [helm_program(), *words], capture_output=True, text=True, check=False, env=own, timeout=300
    )


def rendered_text(*words: str) -> str:
    done = helm("template", RELEASE, str(CHART), "--namespace", NAMESPACE, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refusal(*words: str) -> str:
    """Return why the chart does not take these values."""
    done = helm("template", RELEASE, str(CHART), "--namespace", NAMESPACE, *words)
    assert done.returncode != 0, done.stdout
    return done.stderr


def parsed(text: str) -> list[Object]:
    return [found for found in yaml.safe_load_all(text) if found]


def rendered(*words: str) -> list[Object]:
    return parsed(rendered_text(*words))


def with_values(values: Mapping[str, Any], folder: Path) -> list[str]:
    """Return the words that make helm use these values."""
    path = folder / "values.json"
    path.write_text(json.dumps(values))
    return ["--values", str(path)]


def find(objects: Iterable[Object], kind: str, name: str) -> Object:
    matches = [each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    assert len(matches) == 1, f"{kind} {name}: {len(matches)} of them"
    return matches[0]


def pod_specs(objects: Iterable[Object]) -> dict[str, Object]:
    """Return the pod of each workload, by kind and name."""
    found = {}
    for each in objects:
        key = f"{each['kind']} {each['metadata']['name']}"
        if each["kind"] == "Pod":
            found[key] = each["spec"]
        elif "template" in each.get("spec", {}):
            found[key] = each["spec"]["template"]["spec"]
    return found


def settings_of(objects: Iterable[Object]) -> str:
    text: str = find(objects, "ConfigMap", "lbctl-settings")["data"]["settings.yaml"]
    return text


def shortened(text: str) -> str:
    """Return a render without what stands in a file of the chart as it is."""
    files = r"(?m)^  (check\.py|lbctl\.json): \|\n(?:    .*\n|\n)+"
    parts = re.split(r"(?m)^---\n", re.sub(files, r"  \1: (file)\n", text))
    return "---\n".join(part for part in parts if "templates/crds.yaml" not in part[:60])


def nested(path: Sequence[str], value: object) -> dict[str, Any]:
    """Return values that say one thing."""
    for key in reversed(path):
        value = {key: value}
    assert isinstance(value, dict)
    return value


def merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return two trees of values as one; the other wins."""
    result = dict(one)
    for key, value in other.items():
        mine = result.get(key)
        both = isinstance(mine, dict) and isinstance(value, dict)
        result[key] = merged(mine or {}, value) if both else value
    return result


def templates(objects: list[Object]) -> dict[str, Object]:
    kinds = ("Deployment", "DaemonSet")
    return {
        each["metadata"]["name"]: each["spec"]["template"]
        for each in objects
        if each["kind"] in kinds
    }
