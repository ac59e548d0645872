"""Which Nodes ask for no new connections."""

import pytest

from lbctl_dataplane.rules.exclusion import LABEL, TAINT, exclusion


@pytest.mark.parametrize("value", ["true", "", "1", "T", "yes", "off", "no", " false"])
def test_the_label_excludes_whatever_its_value(value: str) -> None:
    assert exclusion({LABEL: value}, ()) == f"label {LABEL}"


@pytest.mark.parametrize("value", ["false", "False", "FALSE", "f", "F", "0"])
def test_but_for_false_as_go_reads_it(value: str) -> None:
    assert exclusion({LABEL: value}, ()) == ""


@pytest.mark.parametrize("effect", ["NoSchedule", "PreferNoSchedule"])
def test_a_node_that_the_autoscaler_will_delete_is_excluded(effect: str) -> None:
    taint = {"key": TAINT, "value": "1767139200", "effect": effect}
    assert exclusion({LABEL: "false"}, [{"key": "other"}, taint]) == f"taint {TAINT}"


def test_nothing_else_excludes() -> None:
    cordoned = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    assert exclusion({"node-role.kubernetes.io/control-plane": ""}, [cordoned]) == ""
