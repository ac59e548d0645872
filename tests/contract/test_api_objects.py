"""Objects of the API server: identity, versions, deletion. Fake and real."""

import pytest

from api_builders import Ask, decision, patched, service, version
from lbctl.kube import resources
from lbctl.kube.client import MERGE_PATCH, STRATEGIC_MERGE_PATCH, Client
from lbctl.model import errors
from lbctl.translate.service import FINALIZER

SERVICES, OURS = resources.SERVICES, resources.L4_VIRTUAL_SERVICES


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
