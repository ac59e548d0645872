"""What operators write of pools, in the settings or as objects."""

from typing import Any

import pytest

import ipam_builders as ipam
from lbctl.model.pool import Fence
from lbctl.model.reasons import Reason, Refused
from lbctl.model.selector import Requirement, Selector
from lbctl.settings import AddressPoolSettings
from lbctl.translate import pools


def obj(name: str = "p.example", **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "creationTimestamp": "2026-11-21T12:00:00Z"},
        "spec": {"addresses": ["192.0.2.0/24"], **spec},
    }


def test_an_object_becomes_a_pool() -> None:
    found = pools.translate_pool(
        obj(
            staticAddresses=["198.51.100.0/30"],
            reserved=["192.0.2.0/28"],
            priority=7,
            autoAssign=False,
            avoidBuggyIPs=True,
            reuseDelaySeconds=60,
            serves={
                "namespaces": ["a"],
                "namespaceSelectors": [{"matchLabels": {"tier": "edge"}}],
                "serviceSelectors": [{"matchExpressions": [{"key": "lb", "operator": "Exists"}]}],
                "exclusive": True,
            },
        )
    )
    fence = Fence(
        frozenset({"a"}),
        (ipam.labelled("tier", "edge"),),
        (Selector((Requirement("lb", "Exists"),)),),
        exclusive=True,
    )
    assert (found.name, found.created) == ("p.example", "2026-11-21T12:00:00Z")
    assert found.pool == ipam.pool(
        "p.example",
        "192.0.2.0/24",
        static=("198.51.100.0/30",),
        reserved=("192.0.2.0/28",),
        priority=7,
        auto_assign=False,
        avoid_buggy=True,
        reuse_delay_s=60,
        fence=fence,
    )


def test_a_plain_object_has_the_priority_of_the_first_pool_of_the_settings() -> None:
    found = pools.translate_pool(obj()).pool
    assert found == ipam.pool("p.example", "192.0.2.0/24", priority=100)


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({"addresses": ["192.0.2.9-192.0.2.1"]}, "spec.addresses: 192.0.2.9-192.0.2.1"),
        ({"addresses": ["192.0.2.1-2001:db8::1"]}, "spec.addresses"),
        ({"addresses": ["x"]}, "spec.addresses"),
        ({"addresses": []}, "addresses"),
        ({"reserved": ["192.0.2.1/24"]}, "spec.reserved"),
        ({"staticAddresses": ["192.0.2.999"]}, "spec.staticAddresses"),
        ({"priority": -1}, "spec.priority"),
        ({"serves": {"exclusive": True}}, "spec.serves"),
        ({"serves": {"namespaceSelectors": [{"matchExpressions": [{"key": "x"}]}]}}, "operator"),
    ],
)
def test_what_is_wrong_is_told_by_its_field(spec: dict[str, Any], named: str) -> None:
    found = pools.translate_pool(obj(**spec)).pool
    assert isinstance(found, Refused)
    assert found.reason is Reason.POOL_MALFORMED
    assert named in found.detail
    assert "\n" not in found.detail


def test_pools_of_the_settings_are_tried_in_their_order_unless_they_say_otherwise() -> None:
    texts = ("192.0.2.1", "192.0.2.2", "192.0.2.3")
    entries = [AddressPoolSettings(name=f"p{text[-1]}", addresses=(text,)) for text in texts]
    entries[1] = entries[1].model_copy(update={"priority": 5})
    assert [pool.priority for pool in pools.configured_pools(entries)] == [100, 5, 102]


def test_pools_of_the_settings_must_not_overlap() -> None:
    entries = [
        AddressPoolSettings(name="a", addresses=("192.0.2.0/24",)),
        AddressPoolSettings(name="b", static_addresses=("192.0.2.8",)),
    ]
    with pytest.raises(ValueError, match=r"pool b: 192\.0\.2\.8-192\.0\.2\.8 is in pool a too"):
        pools.configured_pools(entries)


def test_a_mirror_says_what_the_settings_say() -> None:
    entry = AddressPoolSettings.model_validate(
        {
            "name": "a",
            "addresses": ["192.0.2.0/24"],
            "reserved": ["192.0.2.9"],
            "serves": {"namespaceSelectors": [{"matchLabels": {"tier": "edge"}}]},
        }
    )
    spec = pools.render_pool(entry, 103)
    assert "name" not in spec
    found = pools.translate_pool({"metadata": {"name": "a"}, "spec": spec}).pool
    (same,) = pools.configured_pools([entry.model_copy(update={"priority": 103})])
    assert found == same


def test_only_the_label_makes_a_mirror() -> None:
    assert not pools.is_mirror(obj())
    labels = {pools.FROM_LABEL: pools.FROM_SETTINGS}
    assert pools.is_mirror({"metadata": {"name": "p", "labels": labels}})


def test_the_last_good_spec_is_read_beside_what_is_said() -> None:
    kept = {"accepted": {"addresses": ["192.0.2.1"], "priority": 7}}
    found = pools.translate_pool({**obj(addresses=["nonsense"]), "status": kept})
    assert isinstance(found.pool, Refused)
    assert found.accepted == ipam.pool("p.example", "192.0.2.1", priority=7)


@pytest.mark.parametrize("status", [{}, None, {"accepted": {"addresses": ["nonsense"]}}])
def test_without_a_last_good_spec_that_can_be_read_there_is_none(status: Any) -> None:
    assert pools.translate_pool({**obj(), "status": status}).accepted is None
