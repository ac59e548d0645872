"""Which kubeconfig counts for a person at a terminal: the rules of kubectl.

Source: Kubernetes documentation, "Organizing Cluster Access Using kubeconfig Files".
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lbctl.kube import config
from lbctl.model.errors import Misconfigured

_PATHS = {
    "clusters": ("cluster", ("certificate-authority",)),
    "users": ("user", ("client-certificate", "client-key", "tokenFile")),
}
"""Where a kubeconfig names files: relative ones are relative to it."""
_CURE = "give --kubeconfig FILE, set KUBECONFIG, or write ~/.kube/config"


def find(
    given: Path | None, context: str, environment: Mapping[str, str], home: Path
) -> config.ClusterConfig:
    """Return where the API server is: `given`, else KUBECONFIG, else ~/.kube/config, else the pod.

    Raises Misconfigured naming the file and the part that is missing.
    """
    listed = files(given, environment, home)
    if not listed:
        if not environment.get("KUBERNETES_SERVICE_HOST"):
            raise Misconfigured(f"no kubeconfig, and not in a pod: {_CURE}")
        return config.from_pod(environment, config.POD_MOUNT)
    return config.from_tree(_merged(listed), os.pathsep.join(map(str, listed)), context)


def files(given: Path | None, environment: Mapping[str, str], home: Path) -> tuple[Path, ...]:
    """Return the files that count, first wins; those of a KUBECONFIG list may be missing."""
    if given is not None:
        return (given,)
    named = [Path(part) for part in environment.get("KUBECONFIG", "").split(os.pathsep) if part]
    if len(named) > 1:
        return tuple(path for path in named if path.exists()) or tuple(named[:1])
    default = home / ".kube" / "config"
    return tuple(named) or ((default,) if default.exists() else ())


def _merged(listed: tuple[Path, ...]) -> dict[str, Any]:
    merged: dict[str, Any] = {"contexts": [], "clusters": [], "users": []}
    for path in listed:
        tree = _read(path)
        for key in ("contexts", "clusters", "users"):
            merged[key] += tree.get(key) or []
        if tree.get("current-context"):
            merged.setdefault("current-context", tree["current-context"])
    return merged


def _read(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Misconfigured(f"kubeconfig {path}: {reason}; {_CURE}") from error
    if not isinstance(tree, dict):
        raise Misconfigured(f"kubeconfig {path}: holds no kubeconfig; {_CURE}")
    for kind, (part, keys) in _PATHS.items():
        for entry in tree.get(kind) or ():
            _anchor(entry.get(part) or {}, keys, path.parent)
    return tree


def _anchor(fields: dict[str, Any], keys: tuple[str, ...], folder: Path) -> None:
    for key in keys:
        if fields.get(key):
            fields[key] = str(folder / fields[key])
