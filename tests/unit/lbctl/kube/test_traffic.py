"""What is counted of calls to the API server."""

import pytest

import event_loops
import metrics_reader
from fakes import api_server
from fakes.api_objects import Refusal
from lbctl.kube import resources, traffic
from lbctl.kube.client import Client
from lbctl.kube.reflector import Reflector
from lbctl.kube.store import Store
from lbctl.model import errors
from lbctl.runtime import metrics

FABRIC = {"metadata": {"name": "leaf"}, "spec": {"driver": "linux"}}
REQUESTS = "lbctl_api_requests_total"


@pytest.mark.parametrize(
    ("method", "path", "found"),
    [
        ("GET", "/api/v1/services", ("list", "services")),
        ("GET", "/api/v1/namespaces/a/services", ("list", "services")),
        ("GET", "/api/v1/namespaces", ("list", "namespaces")),
        ("GET", "/api/v1/namespaces/services", ("get", "namespaces")),
        ("PATCH", "/api/v1/namespaces/a/services/b/status", ("patch", "services")),
        ("PUT", "/api/v1/namespaces/a/status", ("update", "namespaces")),
        ("POST", "/apis/lbctl.io/v1alpha1/ipallocations", ("create", "ipallocations")),
        ("DELETE", "/apis/lbctl.io/v1alpha1/ipallocations/x", ("delete", "ipallocations")),
        ("GET", "/version", ("get", "")),
        ("GET", "/apis", ("get", "")),
        ("BREW", "/apis/a/b/c", ("other", "c")),
    ],
)
def test_a_path_tells_verb_and_resource_and_no_name(
    method: str, path: str, found: tuple[str, str]
) -> None:
    assert traffic.verb_and_resource(method, path) == found


def test_calls_count_by_verb_resource_and_code_with_their_time() -> None:
    kept = metrics.registry("test")

    async def body() -> None:
        async with (
            api_server.serving() as fake,
            Client(fake.cluster, observer=metrics.ApiCalls(kept)) as api,
        ):
            await api.create(resources.FABRICS, FABRIC)
            await api.list(resources.FABRICS)
            with pytest.raises(errors.NotFound):
                await api.get(resources.FABRICS, "other")
            fake.refuse("GET", "leaf", Refusal(503, "ServiceUnavailable", "because"))
            with pytest.raises(errors.Unavailable):
                await api.get(resources.FABRICS, "leaf")

    event_loops.run(body())
    shown = metrics_reader.of(kept)
    assert shown.value(REQUESTS, verb="create", resource="fabrics", code="201") == 1
    assert shown.value(REQUESTS, verb="list", resource="fabrics", code="200") == 1
    assert shown.value(REQUESTS, verb="get", resource="fabrics", code="404") == 1
    assert shown.value(REQUESTS, verb="get", resource="fabrics", code="503") == 1
    assert shown.value("lbctl_api_request_seconds_count", verb="get") == 2
    assert shown.value("lbctl_api_request_seconds_sum", verb="get") > 0


def test_a_call_without_an_answer_has_the_code_none() -> None:
    kept = metrics.registry("test")

    async def body() -> None:
        async with (
            api_server.serving() as fake,
            Client(fake.cluster, observer=metrics.ApiCalls(kept), timeout_s=0.02) as api,
        ):
            fake.silent = True
            with pytest.raises(errors.Unavailable):
                await api.get(resources.FABRICS, "leaf")

    event_loops.run(body())
    shown = metrics_reader.of(kept)
    assert shown.value(REQUESTS, verb="get", resource="fabrics", code="none") == 1


def test_open_watches_are_shown_and_their_ends_count_by_reason() -> None:
    kept = metrics.registry("test")

    def ends(reason: str) -> float:
        shown = metrics_reader.of(kept)
        return shown.value("lbctl_api_watch_restarts_total", resource="fabrics", reason=reason)

    def is_open() -> bool:
        return metrics_reader.of(kept).value("lbctl_api_watches", resource="fabrics") == 1

    async def body() -> None:
        async with (
            api_server.serving() as fake,
            Client(fake.cluster, observer=metrics.ApiCalls(kept)) as api,
            event_loops.running(Reflector(api, resources.FABRICS, Store()).run()),
        ):
            await event_loops.until(is_open)
            for spoil, reason in (
                (fake.end_watches, "ended"),
                (fake.break_watches, "broken"),
                (lambda: fake.fail_watches(Refusal(410, "Expired", "gone")), "expired"),
            ):
                spoil()
                await event_loops.until(lambda reason=reason: ends(reason) == 1)
                await event_loops.until(is_open)
        assert not is_open()
        assert ends("left") == 1

    event_loops.run(body(), event_loops.Hurried)
