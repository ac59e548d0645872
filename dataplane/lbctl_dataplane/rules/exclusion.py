"""Whether a Node asks to get no new connections from outside. Pure.

Source: KEP-1143; `nodeIncludedPredicate` and `nodeUnTaintedPredicate` of k8s.io/cloud-provider.
"""

from collections.abc import Iterable, Mapping
from typing import Any

LABEL = "node.kubernetes.io/exclude-from-external-load-balancers"
TAINT = "ToBeDeletedByClusterAutoscaler"
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})
"""What Go's strconv.ParseBool takes for false; a label with any other value excludes."""


def exclusion(labels: Mapping[str, str], taints: Iterable[Mapping[str, Any]]) -> str:
    """Return why a node is excluded, "" when it is not.

    Upstream read the label's presence alone up to 1.33, its value since.

    >>> exclusion({LABEL: "false"}, ())
    ''
    """
    if any(taint.get("key") == TAINT for taint in taints):
        return f"taint {TAINT}"
    if LABEL in labels and labels[LABEL] not in _FALSE:
        return f"label {LABEL}"
    return ""
