"""When a node forwards to its peers at all, and what wakes it."""

import asyncio

import pytest

import dataplane_builders as build
from lbctl.kube import resources
from lbctl.settings import Settings
from lbctl_dataplane import cli
from lbctl_dataplane.backends.ovs.peers import SwitchPeers
from lbctl_dataplane.backends.peers.forwarding import NoPeers, PeerForwarder, Peers, PeersOff
from lbctl_dataplane.backends.tables.generation import Others
from lbctl_dataplane.decisions import View
from lbctl_dataplane.own_legs import OwnLegs

EMPTY = View((), {}, {}, 1, 1, concerned=True)
LEGS = {1: [("172.31.240.11", "02:00:00:00:00:01")], 2: [("172.31.240.12", "02:00:00:00:00:02")]}


def chosen(backend: str, setting: str, **fields: object) -> Peers:
    tree = Settings.model_validate({"agent": {"peers": setting, **fields}})
    asked, own = tree.agent, OwnLegs("node-1", tree)
    made = cli._backend(backend, asked, own, Others())
    return cli._peers("node-1", made, asked, own, Others())


@pytest.mark.parametrize(
    ("backend", "setting", "kind"),
    [
        ("nft", "auto", PeerForwarder),
        ("nft", "always", PeerForwarder),
        ("nft", "never", PeersOff),
        ("ovs", "auto", SwitchPeers),
        ("ovs", "always", SwitchPeers),
        ("ovs", "never", NoPeers),
        ("ipvs", "never", NoPeers),
        ("announce-only", "always", NoPeers),
    ],
)
def test_nodes_that_can_forward_unless_told_not_to(
    backend: str, setting: str, kind: type[object]
) -> None:
    assert type(chosen(backend, setting)) is kind


def test_a_backend_that_cannot_complains_only_when_asked_to() -> None:
    assert asyncio.run(chosen("ipvs", "auto").program(EMPTY)).complaint == ""
    assert asyncio.run(chosen("ipvs", "always").program(EMPTY)).complaint == (
        "this backend can't forward to peers: set agent.peers to auto"
    )


def test_a_switch_whose_link_is_not_known_complains_only_when_asked_to() -> None:
    given = {"legs": ["172.31.240.11"]}
    assert asyncio.run(chosen("ovs", "auto", **given).program(EMPTY)).complaint == ""
    always = chosen("ovs", "always", **given)
    assert "lbctl.io/legs=ADDRESS/LENGTH" in asyncio.run(always.program(EMPTY)).complaint
    assert always.forwarding is None


def test_who_does_not_forward_watches_no_peers() -> None:
    assert chosen("nft", "never").stores == chosen("ovs", "never").stores == {}
    for backend in ("nft", "ovs"):
        assert chosen(backend, "auto").stores.keys() == {resources.SERVING_NODES}


@pytest.mark.parametrize("backend", ["nft", "ovs"])
def test_an_acknowledgement_that_nobody_waits_for_wakes_nobody(backend: str) -> None:
    woken: list[None] = []
    peers = chosen(backend, "auto")
    (store,) = peers.stores.values()
    peers.follow(lambda: woken.append(None))
    store.replace([build.serving_node("node-2", LEGS[2], decisions=5)], 1)
    assert len(woken) == 1
    later = build.serving_node("node-2", LEGS[2], decisions=6)
    later["metadata"]["resourceVersion"] = "2"
    store.replace([later], 2)
    assert len(woken) == 1
    moved = build.serving_node("node-2", LEGS[1], decisions=6)
    moved["metadata"]["resourceVersion"] = "3"
    store.replace([moved], 3)
    assert len(woken) == 2


def test_routers_are_no_peers() -> None:
    woken: list[None] = []
    peers = chosen("nft", "auto")
    (store,) = peers.stores.values()
    peers.follow(lambda: woken.append(None))
    router = build.serving_node("router", LEGS[2])
    router["spec"]["role"] = "router"
    store.replace([router], 1)
    assert woken == []
