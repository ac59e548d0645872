"""Services of the API server: what patches merge and what types clear. Fake and real."""

import pytest

import builders
from api_builders import Ask, patched, service, version
from lbctl.kube import resources
from lbctl.kube.client import Client
from lbctl.kube.objects import Json
from lbctl.model import errors
from lbctl.translate.service import FINALIZER

SERVICES, OURS = resources.SERVICES, resources.L4_VIRTUAL_SERVICES


def test_a_finalizer_is_added_to_those_of_others(ask: Ask, name: str) -> None:
    async def body(api: Client) -> None:
        obj = service(name)
        obj["metadata"]["finalizers"] = ["example.org/other"]
        await api.create(SERVICES, obj, "default")
        for _ in range(2):
            after = await patched(api, name, {"metadata": {"finalizers": [FINALIZER]}})
        assert sorted(after["metadata"]["finalizers"]) == sorted([FINALIZER, "example.org/other"])

    ask(body)


def test_the_status_endpoint_takes_a_finalizer_with_the_status_and_no_spec(
    ask: Ask, name: str
) -> None:
    async def body(api: Client) -> None:
        obj = service(name)
        obj["metadata"]["finalizers"] = ["example.org/other"]
        made = await api.create(SERVICES, obj, "default")
        ingress = [{"ip": "192.0.2.1", "ipMode": "VIP"}]
        patch = {
            "metadata": {"finalizers": [FINALIZER], "resourceVersion": str(version(made))},
            "spec": {"sessionAffinity": "ClientIP"},
            "status": {"loadBalancer": {"ingress": ingress}},
        }
        after = await patched(api, name, patch, "status")
        assert sorted(after["metadata"]["finalizers"]) == sorted([FINALIZER, "example.org/other"])
        assert after["status"]["loadBalancer"]["ingress"] == ingress
        assert after["spec"] == made["spec"]
        with pytest.raises(errors.Conflict):
            await patched(api, name, patch, "status")

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
