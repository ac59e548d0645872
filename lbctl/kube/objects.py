"""Reading raw API objects: typed access to their metadata. Pure.

Objects stay the JSON dictionaries that the server sent (parsing 10,000 of them into classes
costs seconds); each room that needs facts of one parses them at its edge into its own values.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]
"""One API object as the server sent it."""


def metadata(obj: Mapping[str, Any]) -> Json:
    """Return `metadata`, an empty dictionary where there is none."""
    found: Json = obj.get("metadata") or {}
    return found


def name_of(obj: Mapping[str, Any]) -> str:
    """Return `metadata.name`."""
    return str(metadata(obj).get("name", ""))


def key_of(obj: Mapping[str, Any]) -> str:
    """Return `<namespace>/<name>`, or `<name>` for an object without a namespace."""
    meta = metadata(obj)
    namespace = meta.get("namespace")
    return f"{namespace}/{meta['name']}" if namespace else str(meta["name"])


def uid_of(obj: Mapping[str, Any]) -> str:
    """Return `metadata.uid`."""
    return str(metadata(obj).get("uid", ""))


def version_of(obj: Mapping[str, Any]) -> int:
    """Return `metadata.resourceVersion` as a number; 0 where there is none.

    Versions of one resource type are ordered numbers: KEP-5504, Kubernetes 1.35.
    """
    return int(metadata(obj).get("resourceVersion") or 0)


def generation_of(obj: Mapping[str, Any]) -> int:
    """Return `metadata.generation`, which moves when the spec does; 0 where there is none."""
    return int(metadata(obj).get("generation") or 0)
