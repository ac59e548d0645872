"""What lbctl relies on in the Kubernetes API, held against the fake and the real server."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

import builders
import event_loops
from fakes import api_server
from lbctl.kube import resources
from lbctl.kube.client import (
    MERGE_PATCH,
    STRATEGIC_MERGE_PATCH,
    Client,
    WatchEvent,
)
from lbctl.model import errors
from lbctl.translate.service import FINALIZER

Json = dict[str, Any]
Body = Callable[[Client], Coroutine[Any, Any, None]]
Ask = Callable[[Body], None]

SERVICES, OURS, NODES = resources.SERVICES, resources.L4_VIRTUAL_SERVICES, resources.SERVING_NODES
CLOSING_S = 0.05
NUMBERS = itertools.count(1)


@contextlib.asynccontextmanager
async def fake_client() -> AsyncIterator[Client]:
    async with api_server.serving() as fake, Client(fake.cluster) as api:
        yield api


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.root)])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Run the body of a test with a client of one of the servers."""
    cluster = request.getfixturevalue("real_api") if request.param == "real" else None

    def asked(body: Body) -> None:
        async def within() -> None:
            async with Client(cluster) if cluster else fake_client() as api:
                await body(api)
            # A TLS connection is closed when the server has answered: let it, before the loop goes.
            await asyncio.sleep(CLOSING_S if cluster else 0)

        event_loops.run(within())

    return asked


@pytest.fixture
def name() -> str:
    """A name that no other test of this session uses."""
    return f"thing-{next(NUMBERS)}"


def service(name: str, **spec: Any) -> Json:
    return {
        "metadata": {"name": name},
        "spec": {
            "type": "LoadBalancer",
            "allocateLoadBalancerNodePorts": False,
            "ports": [{"port": 80}],
            **spec,
        },
    }


def decision(name: str) -> Json:
    spec = {
        "service": {"namespace": "default", "name": name, "uid": "u"},
        "name": f"lab--default-{name}",
        "phase": "Serving",
        "vips": [],
        "listeners": [],
    }
    return {"metadata": {"name": f"default.{name}"}, "spec": spec}


def version(obj: Json) -> int:
    return int(obj["metadata"]["resourceVersion"])


async def patched(api: Client, name: str, patch: Json, sub: str = "") -> Json:
    return await api.patch(SERVICES, name, patch, "default", sub=sub, kind=STRATEGIC_MERGE_PATCH)


# --- objects ------------------------------------------------------------------------------------


def test_a_new_object_has_identity_version_and_generation_but_no_status(
    ask: Ask, name: str
) -> None:
    async def body(api: Client) -> None:
        made = await api.create(OURS, {**decision(name), "status": {"state": "Up"}})
        assert made["metadata"]["uid"]
        assert version(made) > 0
        assert made["metadata"]["generation"] == 1
        assert "status" not in made
        assert made == await api.get(OURS, f"default.{name}")

    ask(body)


def test_a_name_is_taken_once(ask: Ask, name: str) -> None:
    async def body(api: Client) -> None:
        await api.create(OURS, decision(name))
        with pytest.raises(errors.AlreadyExists):
            await api.create(OURS, decision(name))

    ask(body)


def test_a_name_that_is_none_is_rejected(ask: Ask) -> None:
    async def body(api: Client) -> None:
        with pytest.raises(errors.Rejected):
            await api.create(OURS, decision("Upper_Case"))

    ask(body)


def test_what_is_not_there_is_not_found(ask: Ask, name: str) -> None:
    async def body(api: Client) -> None:
        with pytest.raises(errors.NotFound):
            await api.get(OURS, name)
        with pytest.raises(errors.NotFound):
            await api.delete(OURS, name)
        with pytest.raises(errors.NotFound):
            await patched(api, name, {"metadata": {}})

    ask(body)


def test_a_replacement_is_of_the_last_version_or_a_conflict(ask: Ask, name: str) -> None:
    async def body(api: Client) -> None:
        made = await api.create(OURS, decision(name))
        changed = {**made, "spec": {**made["spec"], "phase": "Draining"}}
        after = await api.replace(OURS, changed)
        assert version(after) > version(made)
        with pytest.raises(errors.Conflict):
            await api.replace(OURS, {**made, "spec": {**made["spec"], "phase": "Withdrawn"}})

    ask(body)


def test_ours_are_not_replaced_without_a_version(ask: Ask, name: str) -> None:
    async def body(api: Client) -> None:
        await api.create(OURS, decision(name))
        with pytest.raises(errors.Rejected):
            await api.replace(OURS, decision(name))

    ask(body)


def test_the_generation_moves_with_the_spec_alone(ask: Ask, name: str) -> None:
    async def body(api: Client) -> None:
        made = await api.create(OURS, decision(name))
        key = made["metadata"]["name"]
        stated = await api.patch(OURS, key, {"status": {"state": "Up"}}, sub="status")
        labelled = await api.patch(OURS, key, {"metadata": {"labels": {"a": "b"}}})
        moved = await api.patch(OURS, key, {"spec": {"phase": "Draining"}})
        found = [obj["metadata"]["generation"] for obj in (stated, labelled, moved)]
        assert found == [1, 1, 2]

    ask(body)


def test_each_endpoint_writes_its_own_part(ask: Ask, name: str) -> None:
    async def body(api: Client) -> None:
        key = (await api.create(OURS, decision(name)))["metadata"]["name"]
        both = {"spec": {"phase": "Draining"}, "status": {"state": "Up"}}
        stated = await api.patch(OURS, key, both, sub="status")
        assert (stated["spec"]["phase"], stated["status"]["state"]) == ("Serving", "Up")
        both = {"spec": {"phase": "Draining"}, "status": {"state": "Down"}}
        moved = await api.patch(OURS, key, both)
        assert (moved["spec"]["phase"], moved["status"]["state"]) == ("Draining", "Up")
        replaced = await api.replace(OURS, {**moved, "status": {"state": "Pending"}})
        assert replaced["status"]["state"] == "Up"

    ask(body)


def test_a_write_that_changes_nothing_makes_no_new_version(ask: Ask, name: str) -> None:
    async def body(api: Client) -> None:
        made = await api.create(OURS, decision(name))
        again = await api.patch(OURS, made["metadata"]["name"], {"spec": {"phase": "Serving"}})
        assert version(again) == version(made)

    ask(body)


def test_a_patch_may_be_conditional(ask: Ask, name: str) -> None:
    async def body(api: Client) -> None:
        made = await api.create(OURS, decision(name))
        key, meta = made["metadata"]["name"], {"resourceVersion": str(version(made))}
        await api.patch(OURS, key, {"metadata": meta, "spec": {"phase": "Draining"}})
        with pytest.raises(errors.Conflict):
            await api.patch(OURS, key, {"metadata": meta, "spec": {"phase": "Withdrawn"}})

    ask(body)


def test_ours_take_no_strategic_patch(ask: Ask, name: str) -> None:
    async def body(api: Client) -> None:
        key = (await api.create(OURS, decision(name)))["metadata"]["name"]
        with pytest.raises(errors.Rejected):
            await api.patch(OURS, key, {"spec": {}}, kind=STRATEGIC_MERGE_PATCH)

    ask(body)


def test_null_in_a_merge_patch_takes_a_field_away(ask: Ask, name: str) -> None:
    async def body(api: Client) -> None:
        obj = decision(name)
        obj["spec"]["emptySince"] = "2026-11-21T12:00:00Z"
        key = (await api.create(OURS, obj))["metadata"]["name"]
        after = await api.patch(OURS, key, {"spec": {"emptySince": None}}, kind=MERGE_PATCH)
        assert "emptySince" not in after["spec"]

    ask(body)


def test_lists_come_in_pages_of_one_version(ask: Ask, name: str) -> None:
    async def body(api: Client) -> None:
        for number in range(3):
            obj = decision(f"{name}-{number}")
            obj["metadata"]["labels"] = {"page": name}
            last = await api.create(OURS, obj)
        params = {"limit": "2", "labelSelector": f"page={name}"}
        first = await api.raw("GET", OURS.path(), params=params)
        params["continue"] = first["metadata"]["continue"]
        second = await api.raw("GET", OURS.path(), params=params)
        names = [obj["metadata"]["name"] for page in (first, second) for obj in page["items"]]
        assert names == [f"default.{name}-{number}" for number in range(3)]
        assert not second["metadata"].get("continue")
        listed = await api.list(OURS, label_selector=f"page={name}")
        assert [obj["metadata"]["name"] for obj in listed.items] == names
        assert int(listed.resource_version) >= version(last)

    ask(body)


def test_lists_may_be_of_one_namespace(ask: Ask, name: str) -> None:
    async def body(api: Client) -> None:
        await api.create(SERVICES, service(name), "default")
        here = await api.list(SERVICES, "default")
        elsewhere = await api.list(SERVICES, "kube-system")
        assert name in {obj["metadata"]["name"] for obj in here.items}
        assert name not in {obj["metadata"]["name"] for obj in elsewhere.items}

    ask(body)


# --- deletion -----------------------------------------------------------------------------------


def test_a_deletion_may_be_of_one_identity_only(ask: Ask, name: str) -> None:
    async def body(api: Client) -> None:
        made = await api.create(OURS, decision(name))
        key = made["metadata"]["name"]
        with pytest.raises(errors.Conflict):
            await api.delete(OURS, key, uid="another")
        with pytest.raises(errors.Conflict):
            await api.delete(OURS, key, resource_version="1")
        await api.delete(OURS, key, uid=made["metadata"]["uid"])
        with pytest.raises(errors.NotFound):
            await api.get(OURS, key)

    ask(body)


def test_a_finalizer_keeps_a_deleted_object_until_it_is_taken_away(ask: Ask, name: str) -> None:
    async def body(api: Client) -> None:
        obj = service(name)
        obj["metadata"]["finalizers"] = [FINALIZER, "example.org/other"]
        await api.create(SERVICES, obj, "default")
        await api.delete(SERVICES, name, "default")
        removed = {"metadata": {"$deleteFromPrimitiveList/finalizers": [FINALIZER]}}
        kept = await patched(api, name, removed)
        assert kept["metadata"]["deletionTimestamp"]
        assert kept["metadata"]["finalizers"] == ["example.org/other"]
        await patched(api, name, {"metadata": {"finalizers": None}})
        with pytest.raises(errors.NotFound):
            await api.get(SERVICES, name, "default")

    ask(body)


# --- Services -----------------------------------------------------------------------------------


def test_a_finalizer_is_added_to_those_of_others(ask: Ask, name: str) -> None:
    async def body(api: Client) -> None:
        obj = service(name)
        obj["metadata"]["finalizers"] = ["example.org/other"]
        await api.create(SERVICES, obj, "default")
        for _ in range(2):
            after = await patched(api, name, {"metadata": {"finalizers": [FINALIZER]}})
        assert sorted(after["metadata"]["finalizers"]) == sorted([FINALIZER, "example.org/other"])

    ask(body)


def condition(kind: str, status: str, **extra: str) -> Json:
    since = "2026-11-21T12:00:00Z"
    base = {"type": kind, "status": status, "reason": "R", "message": "m"}
    return {**base, "lastTransitionTime": since, **extra}


def test_conditions_are_merged_by_type_and_taken_away_by_type(ask: Ask, name: str) -> None:
    async def body(api: Client) -> None:
        await api.create(SERVICES, service(name), "default")
        first = [condition("example.org/A", "True"), condition("lbctl.io/B", "False")]
        await patched(api, name, {"status": {"conditions": first}}, "status")
        second = {"status": {"conditions": [condition("lbctl.io/B", "True")]}}
        merged = await patched(api, name, second, "status")
        found = {entry["type"]: entry["status"] for entry in merged["status"]["conditions"]}
        assert found == {"example.org/A": "True", "lbctl.io/B": "True"}
        gone = {"status": {"conditions": [{"type": "lbctl.io/B", "$patch": "delete"}]}}
        left = await patched(api, name, gone, "status")
        assert [entry["type"] for entry in left["status"]["conditions"]] == ["example.org/A"]

    ask(body)


def test_ingress_is_replaced_as_a_whole_and_cleared_by_null(ask: Ask, name: str) -> None:
    async def body(api: Client) -> None:
        await api.create(SERVICES, service(name), "default")
        for address in ("192.0.2.1", "192.0.2.2"):
            ingress = [{"ip": address, "ipMode": "VIP"}]
            shown = {"status": {"loadBalancer": {"ingress": ingress}}}
            after = await patched(api, name, shown, "status")
            assert after["status"]["loadBalancer"]["ingress"] == ingress
        after = await patched(api, name, {"status": {"loadBalancer": None}}, "status")
        assert after["status"]["loadBalancer"] == {}

    ask(body)


def test_a_status_that_was_read_before_another_write_is_a_conflict(ask: Ask, name: str) -> None:
    async def body(api: Client) -> None:
        made = await api.create(SERVICES, service(name), "default")
        await patched(api, name, {"metadata": {"labels": {"a": "b"}}})
        stale = {
            "metadata": {"resourceVersion": str(version(made))},
            "status": {"conditions": [condition("lbctl.io/B", "True")]},
        }
        with pytest.raises(errors.Conflict):
            await patched(api, name, stale, "status")

    ask(body)


def test_a_service_that_stops_being_a_load_balancer_loses_its_ingress(ask: Ask, name: str) -> None:
    async def body(api: Client) -> None:
        await api.create(SERVICES, service(name), "default")
        shown = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1", "ipMode": "VIP"}]}}}
        await patched(api, name, shown, "status")
        spec = {"type": "ClusterIP", "allocateLoadBalancerNodePorts": None}
        after = await patched(api, name, {"spec": spec})
        assert after["status"]["loadBalancer"] == {}
        with pytest.raises(errors.Rejected):
            await patched(api, name, shown, "status")

    ask(body)


def test_a_service_has_its_defaults(ask: Ask, name: str) -> None:
    async def body(api: Client) -> None:
        made = await api.create(SERVICES, service(name), "default")
        assert made["spec"]["ipFamilies"] == ["IPv4"]
        assert made["spec"]["ports"][0]["protocol"] == "TCP"
        assert builders.facts(made).ours

    ask(body)


# --- watches ------------------------------------------------------------------------------------


async def taken(events: AsyncIterator[WatchEvent], count: int) -> list[WatchEvent]:
    """Return the next events of a watch that are no bookmarks."""
    found: list[WatchEvent] = []
    async for event in events:
        if event.type != "BOOKMARK":
            found.append(event)
        if len(found) == count:
            break
    return found


def test_a_watch_tells_every_change_after_a_version_in_order(ask: Ask, name: str) -> None:
    async def body(api: Client) -> None:
        listed = await api.list(OURS)
        made = await api.create(OURS, decision(name))
        key = made["metadata"]["name"]
        moved = await api.patch(OURS, key, {"spec": {"phase": "Draining"}})
        await api.delete(OURS, key)
        async with contextlib.aclosing(api.watch(OURS, listed.resource_version)) as events:
            added, modified, deleted = await taken(events, 3)
        assert (added.type, added.object) == ("ADDED", made)
        assert (modified.type, modified.object) == ("MODIFIED", moved)
        assert deleted.type == "DELETED"
        assert version(deleted.object) > version(moved)

    ask(body)


def test_a_watch_tells_what_happens_while_it_is_open(ask: Ask, name: str) -> None:
    async def body(api: Client) -> None:
        listed = await api.list(OURS)
        async with contextlib.aclosing(api.watch(OURS, listed.resource_version)) as events:
            first = asyncio.ensure_future(taken(events, 1))
            await event_loops.turns()
            made = await api.create(OURS, decision(name))
            assert [event.object for event in await first] == [made]

    ask(body)


def test_a_watch_by_label_tells_of_those_that_come_and_go(ask: Ask, name: str) -> None:
    async def body(api: Client) -> None:
        listed = await api.list(OURS)
        key = (await api.create(OURS, decision(name)))["metadata"]["name"]
        for value in (name, name, None):
            patch = {"metadata": {"labels": {"in": value}}, "spec": {"phase": "Draining"}}
            await api.patch(OURS, key, patch)
        selected = api.watch(OURS, listed.resource_version, label_selector=f"in={name}")
        async with contextlib.aclosing(selected) as events:
            assert [event.type for event in await taken(events, 2)] == ["ADDED", "DELETED"]

    ask(body)


def test_a_watch_of_one_namespace_tells_nothing_of_another(ask: Ask, name: str) -> None:
    async def body(api: Client) -> None:
        listed = await api.list(SERVICES)
        await api.create(SERVICES, service(name), "kube-system")
        await api.create(SERVICES, service(name), "default")
        watch = api.watch(SERVICES, listed.resource_version, "default")
        async with contextlib.aclosing(watch) as events:
            (event,) = await taken(events, 1)
        assert event.object["metadata"]["namespace"] == "default"

    ask(body)


# --- Leases -------------------------------------------------------------------------------------


def test_of_two_who_take_a_lease_they_both_read_one_succeeds(ask: Ask, name: str) -> None:
    async def body(api: Client) -> None:
        lease: Json = {"metadata": {"name": name}, "spec": {"holderIdentity": ""}}
        read = await api.create(resources.LEASES, lease, "default")
        meta = {"name": name, "resourceVersion": str(version(read))}

        async def take(who: str) -> str:
            spec = {"holderIdentity": who, "leaseDurationSeconds": 8}
            try:
                await api.replace(resources.LEASES, {"metadata": meta, "spec": spec}, "default")
            except errors.Conflict:
                return ""
            return who

        winners = [who for who in await asyncio.gather(take("a"), take("b")) if who]
        held = await api.get(resources.LEASES, name, "default")
        assert winners == [held["spec"]["holderIdentity"]]

    ask(body)
