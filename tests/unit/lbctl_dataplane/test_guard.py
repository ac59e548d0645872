"""The kernel's guard on the ports of the switch."""

import json

from lbctl import delta
from lbctl_dataplane.rules.ovs import guard


def listing(*chains: tuple[str, str]) -> str:
    made = [{"chain": {"name": name, "policy": policy}} for name, policy in chains]
    return json.dumps({"nftables": [{"metainfo": {}}, {"table": {"name": "lbctl"}}, *made]})


def test_chains_are_read_back_by_device() -> None:
    found = guard.parse(listing(("guard-svc0", "drop"), ("other", "accept")))
    assert found == {"svc0": "drop"}


def test_no_table_is_no_guard() -> None:
    assert guard.parse("") == {}


def test_a_policy_that_was_changed_is_set_again_and_a_gone_device_loses_its_chain() -> None:
    observed = guard.parse(listing(("guard-svc0", "accept"), ("guard-gone", "drop")))
    change = delta.diff(guard.desired(["svc0"]), observed)
    assert guard.render(change).splitlines() == [
        "add table netdev lbctl",
        "delete chain netdev lbctl guard-gone",
        'add chain netdev lbctl guard-svc0 { type filter hook ingress device "svc0" priority 0; '
        "policy drop; }",
    ]
