"""The two kinds of patches that lbctl sends. Pure: both return a new object.

Sources: RFC 7386 (merge patch); Kubernetes' "strategic merge patch" for the lists named here.
"""

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

MERGED_BY: Mapping[tuple[str, ...], str] = {("status", "conditions"): "type"}
"""Lists of objects that are merged, by which key."""
MERGED_SETS = {("metadata", "finalizers")}
"""Lists of strings that are merged; every other list is replaced."""
TAKE_OUT = "$deleteFromPrimitiveList/"


def merge(obj: Any, patch: Any) -> Any:
    """Return the object after a merge patch: null deletes, lists are replaced."""
    if not isinstance(patch, dict):
        return patch
    merged: Json = dict(obj) if isinstance(obj, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def merge_strategically(obj: Any, patch: Any, place: tuple[str, ...] = ()) -> Any:
    """Return the object after a strategic merge patch of what lies at `place`."""
    if not isinstance(patch, dict):
        return patch
    merged: Json = dict(obj) if isinstance(obj, dict) else {}
    for key, value in patch.items():
        if key.startswith(TAKE_OUT):
            name = key.removeprefix(TAKE_OUT)
            merged[name] = [entry for entry in merged.get(name) or () if entry not in value]
        elif value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge_field(merged.get(key), value, (*place, key))
    return {key: value for key, value in merged.items() if value != [] or key not in _taken(patch)}


def _taken(patch: Json) -> set[str]:
    return {key.removeprefix(TAKE_OUT) for key in patch if key.startswith(TAKE_OUT)}


def _merge_field(old: Any, new: Any, place: tuple[str, ...]) -> Any:
    if place in MERGED_SETS:
        return [*(old or ()), *(entry for entry in new if entry not in (old or ()))]
    if place in MERGED_BY:
        return _merge_list(old or [], new, MERGED_BY[place])
    return merge_strategically(old, new, place)


def _merge_list(old: list[Json], new: list[Json], by: str) -> list[Json]:
    merged = {entry[by]: entry for entry in old}
    for entry in new:
        if entry.get("$patch") == "delete":
            merged.pop(entry[by], None)
        else:
            merged[entry[by]] = merge_strategically(merged.get(entry[by]), entry)
    return list(merged.values())
