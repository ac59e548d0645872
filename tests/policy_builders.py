"""Build L4Policies for tests."""

from typing import Any

from lbctl.model.policy import DeclaredPolicy
from lbctl.translate.policies import translate_policy

CREATED = "2026-11-21T12:00:00Z"


def policy(
    name: str = "web",
    *targets: str,
    created: str = CREATED,
    accepted: dict[str, Any] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """Return an L4Policy for Services of the namespace `default`; kuard unless told otherwise."""
    meta = {
        "namespace": "default",
        "name": name,
        "uid": f"uid-{name}",
        "resourceVersion": "7",
        "generation": 3,
        "creationTimestamp": created,
    }
    obj = {"metadata": meta, "spec": spec_of(*targets, **spec)}
    return {**obj, "status": {"accepted": accepted}} if accepted else obj


def spec_of(*targets: str, **spec: Any) -> dict[str, Any]:
    """Return the spec of an L4Policy."""
    refs = [{"group": "", "kind": "Service", "name": name} for name in targets or ("kuard",)]
    return {"targetRefs": refs, **spec}


def declared(name: str = "web", *targets: str, **fields: Any) -> DeclaredPolicy:
    """Return the same as the controller reads it."""
    return translate_policy(policy(name, *targets, **fields))


BAD = {"sourceRanges": ["nonsense"]}
"""What no schema would take, and what an object may say all the same."""
