"""What the settings tree takes and refuses."""

from typing import Any

import pydantic
import pytest

from lbctl.settings import Settings


def nested(path: str, value: Any) -> dict[str, Any]:
    """Return a tree with one value at a dotted path."""
    head, _, rest = path.partition(".")
    return {head: nested(rest, value) if rest else value}


@pytest.mark.parametrize(
    "addresses",
    [
        ["192.0.2.0/24"],
        ["192.0.2.1-192.0.2.9", "2001:db8::/112"],
        ["2001:db8::1-2001:db8::1"],
    ],
)
def test_a_pool_takes_cidrs_and_ranges_of_both_families(addresses: list[str]) -> None:
    tree = Settings.model_validate({"addressPools": [{"name": "p", "addresses": addresses}]})
    assert tree.address_pools[0].addresses == tuple(addresses)


@pytest.mark.parametrize(
    "addresses", [[], ["192.0.2.1/24"], ["192.0.2.9-192.0.2.1"], ["x"], ["192.0.2.1-"]]
)
def test_a_pool_refuses_what_is_no_range(addresses: list[str]) -> None:
    with pytest.raises(pydantic.ValidationError, match="addressPools"):
        Settings.model_validate({"addressPools": [{"name": "p", "addresses": addresses}]})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("LbctlSettings.clusterName", "-S1"),
        ("LbctlSettings.clusterName", ""),
        ("L4Settings.serviceType", "NodePort"),
        ("addressPools", [{"addresses": ["192.0.2.0/24"]}, {"addresses": ["192.0.2.0/24"]}]),
        ("lease.duration", 1),
        ("lease.renew", 0),
        ("nameservice.subdomains", ["-.example."]),
        ("nameservice.subdomains", ["a..b"]),
        ("nameservice.ttl", 86401),
        ("nameservice.soa.refresh", 0),
        ("agent.backend", "magic"),
        ("agent.legs", ["172.31.241.2/33"]),
        ("NetworkSettings.nodeNetworkList", [{"networkName": "a", "cidrs": ["10.1.0.1/16"]}]),
        ("NetworkSettings.nodeNetworkList", [{"networkName": "a", "cidrs": ["10.1.0.0/33"]}]),
        ("L4Settings.unknown", True),
        ("LbctlSettings.logFormat", "xml"),
    ],
)
def test_what_is_out_of_range_or_unknown_is_refused(path: str, value: Any) -> None:
    with pytest.raises(pydantic.ValidationError):
        Settings.model_validate(nested(path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("nameservice.subdomains", ("lb.example", "lb.example.org.")),
        ("nameservice.emptyGrace", 0.0),
        ("nameservice.nsAddresses", ("172.31.240.53",)),
        ("agent.legs", ("172.31.241.2", "fd00:1b::2")),
        ("LbctlSettings.clusterName", "S1-AZ1"),
        ("LbctlSettings.blockedNamespaceList", ("kube-system",)),
        ("L4Settings.defaultLBController", False),
        ("L4Settings.loadBalancerClass", "example.org/lb"),
        ("L4Settings.autoFQDN", "flat"),
    ],
)
def test_what_is_set_is_what_counts(path: str, value: Any) -> None:
    tree = Settings.model_validate(nested(path, value)).model_dump(by_alias=True)
    for part in path.split("."):
        tree = tree[part]
    assert tree == value


def test_the_tree_cannot_be_changed() -> None:
    tree = Settings()
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        tree.lbctl = tree.lbctl


def test_the_defaults_are_akos() -> None:
    soa = Settings().nameservice.soa
    assert (soa.refresh, soa.retry, soa.expire, soa.negative_ttl) == (10800, 3600, 86400, 30)
    assert Settings().nameservice.ttl == 5
    assert Settings().l4.default_lb_controller
