"""Where a node finds its legs, and what it does while what is said about them is wrong."""

import asyncio
import urllib.parse
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import dataplane_builders as build
import event_loops
from fakes import api_server
from lbctl.kube import resources
from lbctl.kube.client import Client
from lbctl.model import errors
from lbctl.settings import Settings
from lbctl_dataplane.agent import Agent, Options, Pace
from lbctl_dataplane.backends import memory
from lbctl_dataplane.backends.port import Leg
from lbctl_dataplane.node import Beside, NodeRole
from lbctl_dataplane.own_legs import OwnLegs
from lbctl_dataplane.rules import exclusion, own_legs

NODE = "node-1"
FOUR, SIX = build.ip("10.1.0.2"), build.ip("fd00::2")
ELSEWHERE = build.ip("192.0.2.9")
LEGS = (FOUR, SIX)
NETWORKS = ("10.1.0.0/16", "fd00::/64")


def settings(legs: Sequence[str] = (), networks: Sequence[str] = (), state: str = "") -> Settings:
    listed = [{"networkName": "legs", "cidrs": list(networks)}] if networks else []
    agent = {"legs": list(legs), **({"stateDir": state} if state else {})}
    return Settings.model_validate({"agent": agent, "NetworkSettings": {"nodeNetworkList": listed}})


def labelled(value: str | None, version: int = 1, taints: Sequence[str] = ()) -> dict[str, Any]:
    obj = node("10.1.0.2", version)
    obj["metadata"]["labels"] = {} if value is None else {exclusion.LABEL: value}
    return {**obj, "spec": {"taints": [{"key": key, "effect": "NoSchedule"} for key in taints]}}


def node(legs: str | None, version: int = 1, name: str = NODE) -> dict[str, Any]:
    annotations = {} if legs is None else {own_legs.ANNOTATION: legs}
    return {
        "metadata": {"name": name, "resourceVersion": str(version), "annotations": annotations},
        "status": {"images": []},
    }


def known(tree: Settings, *objects: dict[str, Any]) -> OwnLegs:
    found = OwnLegs(NODE, tree)
    for store in found.stores.values():
        store.replace(objects, 1)
    return found


def test_the_annotation_gives_one_leg_per_family_in_any_order_and_spacing() -> None:
    found = known(settings(networks=NETWORKS), node(" fd00::2 ,10.1.0.2, "))
    assert (found.now(), found.complaint()) == (LEGS, "")


def test_settings_come_first_and_need_no_node() -> None:
    found = OwnLegs(NODE, settings(["10.1.0.2"]))
    assert (found.now(), found.complaint()) == ((FOUR,), "")


def test_the_length_of_its_link_may_stand_with_a_leg() -> None:
    found = known(settings(), node("10.1.0.2/24 via 10.1.0.1,fd00::2"))
    assert (found.now(), found.gateways()) == (LEGS, (build.ip("10.1.0.1"),))
    assert list(map(str, found.networks())) == ["10.1.0.0/24"]
    assert str(own_legs.parse("10.1.0.2/24 via 10.1.0.1")) == "10.1.0.2/24 via 10.1.0.1"


@pytest.mark.parametrize(
    ("text", "legs", "parts"),
    [
        ("192.0.2.9", (), ("192.0.2.9", "10.1.0.0/16, fd00::/64", "nodeNetworkList", "no leg is")),
        ("192.0.2.9,fd00::2", (SIX,), ("192.0.2.9", "in force: fd00::2")),
        ("10.1.0.2/33", (), ("10.1.0.2/33", "with the length of its link")),
        ("10.1.0.2,10.1.0.3", (), ("10.1.0.2, 10.1.0.3", "IPv4")),
        ("10.1.0.2 via x", (), ("'x' is not an IP address", "no leg is")),
        ("10.1.0.2 via fd00::1", (), ("10.1.0.2 via fd00::1", "mixes IPv4 and IPv6")),
        (None, (), ("kubectl annotate node node-1 lbctl.io/legs=", "agent.legs")),
        (" , ", (), ("kubectl annotate",)),
    ],
)
def test_what_is_wrong_is_refused_with_what_and_why(
    text: str | None, legs: tuple[Any, ...], parts: tuple[str, ...]
) -> None:
    found = known(settings(networks=NETWORKS), node(text))
    assert found.now() == legs
    assert [part for part in parts if part not in found.complaint()] == []


def test_a_leg_may_name_the_gateway_that_answers_go_to() -> None:
    told = "10.1.0.2 via 10.1.0.1,fd00::2"
    for found in (known(settings(), node(told)), OwnLegs(NODE, settings(told.split(",")))):
        assert (found.now(), found.gateways()) == (LEGS, (build.ip("10.1.0.1"),))
        assert found.complaint() == ""


def test_a_restart_while_the_annotation_is_wrong_knows_the_gateways_in_force() -> None:
    before = known(settings(), node("10.1.0.2 via 10.1.0.1"))
    (store,) = before.stores.values()
    store.apply("MODIFIED", node("10.1.0.2 via nonsense", 2))
    after = known(settings(), *store)
    assert after.gateways() == (build.ip("10.1.0.1"),)
    assert "in force: 10.1.0.2 via 10.1.0.1" in after.complaint()


def test_a_leg_in_the_settings_is_held_against_the_networks_too() -> None:
    found = known(settings(["192.0.2.9"], NETWORKS))
    assert found.now() == ()
    assert "setting agent.legs" in found.complaint()
    found.apply(settings(["192.0.2.9"], ["192.0.2.0/24"]))
    assert (found.now(), found.complaint()) == ((ELSEWHERE,), "")


@pytest.mark.parametrize("wrong", ["10.1.0.2;fd00::2", "192.0.2.9", "10.1.0.3,10.1.0.4"])
def test_legs_in_force_stay_while_the_annotation_is_wrong(wrong: str) -> None:
    found = known(settings(networks=NETWORKS), node("10.1.0.2,fd00::2"))
    (store,) = found.stores.values()
    store.apply("MODIFIED", node(wrong, 2))
    assert found.now() == LEGS
    assert "in force: 10.1.0.2, fd00::2" in found.complaint()
    store.apply("MODIFIED", node("10.1.0.2", 3))
    assert (found.now(), found.complaint()) == ((FOUR,), "")


def test_a_restart_while_the_annotation_is_wrong_knows_the_legs_in_force() -> None:
    before = known(settings(), node("10.1.0.2,fd00::2"))
    (store,) = before.stores.values()
    store.apply("MODIFIED", node("nonsense", 2))
    after = known(settings(), *store)
    assert after.now() == LEGS
    (again,) = after.stores.values()
    again.apply("MODIFIED", node("more nonsense", 3))
    assert after.now() == LEGS


def test_an_annotation_that_is_taken_away_takes_the_legs_away() -> None:
    found = known(settings(), node("10.1.0.2"))
    assert found.now() == (FOUR,)
    (store,) = found.stores.values()
    store.apply("MODIFIED", node(None, 2))
    assert found.now() == ()


def test_a_node_that_is_gone_keeps_its_legs_and_is_named() -> None:
    found = known(settings(), node("10.1.0.2"))
    (store,) = found.stores.values()
    store.apply("DELETED", node("10.1.0.2", 2))
    assert found.now() == (FOUR,)
    assert "no Node node-1" in found.complaint()


def test_not_read_yet_is_not_none() -> None:
    with pytest.raises(errors.Unavailable, match="node-1"):
        OwnLegs(NODE, settings()).now()


def test_a_node_says_whether_it_is_excluded_as_it_changes() -> None:
    for legs in ((), ("10.1.0.2",)):
        found = known(settings(legs), labelled(None))
        (store,) = found.stores.values()
        assert found.excluded() == ""
        store.apply("MODIFIED", labelled("true", 2))
        assert found.excluded() == f"label {exclusion.LABEL}"
        store.apply("MODIFIED", labelled("false", 3, [exclusion.TAINT]))
        assert found.excluded() == f"taint {exclusion.TAINT}"
        store.apply("MODIFIED", labelled("false", 4))
        assert found.excluded() == ""


def test_an_exclusion_outlives_a_restart_and_not_the_node() -> None:
    before = known(settings(), labelled(""))
    (store,) = before.stores.values()
    after = known(settings(), *store)
    assert after.excluded() == f"label {exclusion.LABEL}"
    (again,) = after.stores.values()
    again.apply("DELETED", labelled("", 2))
    assert after.excluded() == ""


class Switch(memory.MemoryBackend):
    """The switch in memory with the legs that a node finds."""

    def __init__(self, own: OwnLegs) -> None:
        super().__init__()
        self._own = own

    def legs(self) -> tuple[Leg, ...]:
        return tuple(Leg(address, "02:00:00:00:00:06") for address in self._own.now())


async def _shown(api: Client) -> tuple[list[str], str]:
    try:
        found = await api.get(resources.SERVING_NODES, NODE)
    except errors.NotFound:
        return [], ""
    legs = [leg["address"] for leg in found["spec"]["legs"]]
    return legs, (found.get("status") or {}).get("message", "")


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    while not await condition():  # noqa: ASYNC110 - until the agent has reported it
        await asyncio.sleep(0.01)


def _annotate(api: Client, legs: str) -> Awaitable[Any]:
    body = {"metadata": {"annotations": {own_legs.ANNOTATION: legs}}}
    return api.patch(resources.NODES, NODE, body)


def test_the_cluster_sees_legs_and_complaints_as_they_change(tmp_path: Path) -> None:
    config = tmp_path / "settings.yaml"
    config.write_text("{}")

    async def scene(fake: api_server.ApiServer, api: Client) -> None:
        async def shows(legs: list[str], part: str) -> bool:
            found, message = await _shown(api)
            return found == legs and (part in message if part else not message)

        async def excluded(reason: str) -> bool:
            found = await api.get(resources.SERVING_NODES, NODE)
            return bool(found["spec"]["excluded"] == reason)

        await _until(lambda: shows([], "kubectl annotate node node-1"))
        assert await excluded("")
        await _annotate(api, "10.1.0.2")
        await _until(lambda: shows(["10.1.0.2"], ""))
        config.write_text(
            "NetworkSettings: {nodeNetworkList: [{networkName: a, cidrs: [192.0.2.0/24]}]}"
        )
        await _until(lambda: shows(["10.1.0.2"], "leg 10.1.0.2 lies in no network"))
        await _annotate(api, "192.0.2.9")
        await _until(lambda: shows(["192.0.2.9"], ""))
        await api.patch(resources.NODES, NODE, {"metadata": {"labels": {exclusion.LABEL: ""}}})
        await _until(lambda: excluded(f"label {exclusion.LABEL}"))
        queries = [urllib.parse.unquote(query) for query in fake.queries]
        assert any("fieldSelector=metadata.name=node-1" in query for query in queries)

    async def stage() -> None:
        async with api_server.serving() as fake, Client(fake.cluster) as api:
            for name in (NODE, "node-2"):
                body = node("10.9.9.9" if name != NODE else None, name=name)
                body["metadata"].pop("resourceVersion")
                await api.create(resources.NODES, body)
            tree = settings(state=str(tmp_path))
            own = OwnLegs(NODE, tree)
            role = NodeRole(NODE, Switch(own), build.CHOSEN, Beside(own))
            options = Options(NODE, tree, Pace(resync_s=0.1), config)
            async with event_loops.running(Agent(api, role, options).run()):
                await scene(fake, api)

    # The file says nothing of stateDir: a change of `agent`, which is refused and changes nothing.
    event_loops.run(stage(), event_loops.Hurried)
