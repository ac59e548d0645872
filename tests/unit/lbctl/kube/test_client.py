"""How answers and failures of the API server reach callers."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import event_loops
from fakes import api_objects, api_server
from fakes.api_objects import Refusal
from lbctl.kube import client, config, resources
from lbctl.kube.client import Client
from lbctl.model import errors

Body = Callable[[api_server.ApiServer, Client], Coroutine[Any, Any, None]]
RULES = {rules.resource.plural: rules for rules in api_objects.KNOWN}
FABRIC = {"metadata": {"name": "leaf"}, "spec": {"driver": "linux"}}


def ask(body: Body, **options: Any) -> None:
    async def within() -> None:
        async with api_server.serving() as fake, Client(fake.cluster, **options) as api:
            await body(fake, api)

    event_loops.run(within())


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (400, "BadRequest", errors.Rejected),
        (401, "Unauthorized", errors.Unauthorised),
        (403, "Forbidden", errors.Unauthorised),
        (404, "NotFound", errors.NotFound),
        (405, "MethodNotAllowed", errors.Rejected),
        (409, "AlreadyExists", errors.AlreadyExists),
        (409, "Conflict", errors.Conflict),
        (410, "Expired", errors.Expired),
        (413, "TooLarge", errors.Rejected),
        (415, "UnsupportedMediaType", errors.Rejected),
        (422, "Invalid", errors.Rejected),
        (429, "TooManyRequests", errors.Throttled),
        (500, "InternalError", errors.Unavailable),
        (503, "ServiceUnavailable", errors.Unavailable),
        (502, "", errors.Unavailable),
    ],
)
def test_each_refusal_has_its_error_which_says_what_was_asked_and_why(
    code: int, reason: str, kind: type[Exception]
) -> None:
    async def body(fake: api_server.ApiServer, api: Client) -> None:
        fake.refuse("GET", "leaf", Refusal(code, reason, "because"))
        with pytest.raises(kind, match=rf"GET /apis/.*/fabrics/leaf: {code} because") as raised:
            await api.get(resources.FABRICS, "leaf")
        assert type(raised.value) is kind

    ask(body)


@pytest.mark.parametrize(("header", "wait_s"), [("7", 7.0), ("", 1.0)])
def test_a_throttled_call_carries_the_servers_wait(header: str, wait_s: float) -> None:
    async def body(fake: api_server.ApiServer, api: Client) -> None:
        fake.refuse("GET", "leaf", Refusal(429, "TooManyRequests", "slow", header))
        with pytest.raises(errors.Throttled) as raised:
            await api.get(resources.FABRICS, "leaf")
        assert raised.value.retry_after_s == wait_s

    ask(body)


def test_a_server_that_does_not_answer_is_unavailable() -> None:
    async def body(fake: api_server.ApiServer, api: Client) -> None:
        fake.silent = True
        with pytest.raises(errors.Unavailable, match="GET"):
            await api.get(resources.FABRICS, "leaf")

    ask(body, timeout_s=0.02)


def test_a_server_that_is_not_there_is_unavailable() -> None:
    async def body() -> None:
        async with api_server.serving() as fake:
            cluster = fake.cluster
        async with Client(cluster) as api:
            with pytest.raises(errors.Unavailable, match="GET"):
                await api.get(resources.FABRICS, "leaf")
            with pytest.raises(errors.Unavailable, match="watch fabrics"):
                await anext(aiter(api.watch(resources.FABRICS, "1")))

    event_loops.run(body())


def test_a_client_that_was_not_entered_says_so() -> None:
    async def body() -> None:
        api = Client(config.ClusterConfig("http://127.0.0.1:1", None))
        with pytest.raises(errors.Misconfigured, match="async with"):
            await api.get(resources.FABRICS, "leaf")
        await api.__aexit__(None, None, None)

    event_loops.run(body())


def test_what_is_sent_carries_its_kind() -> None:
    async def body(fake: api_server.ApiServer, api: Client) -> None:
        made = await api.create(resources.FABRICS, dict(FABRIC))
        assert (made["apiVersion"], made["kind"]) == ("lbctl.io/v1alpha1", "Fabric")

    ask(body)


def test_a_long_list_is_read_in_pages() -> None:
    async def body(fake: api_server.ApiServer, api: Client) -> None:
        for number in range(client.LIST_PAGE + 1):
            obj = {"metadata": {"name": f"f-{number:04}"}, "spec": {}}
            fake.objects.create(RULES["fabrics"], "", obj)
        listed = await api.list(resources.FABRICS)
        assert len({obj["metadata"]["name"] for obj in listed.items}) == client.LIST_PAGE + 1
        assert len(fake.calls) == 2

    ask(body)


def test_a_token_is_sent_and_none_without_one() -> None:
    async def body() -> None:
        async with api_server.serving() as fake:
            for token in ("", "sesame"):
                cluster = config.ClusterConfig(fake.cluster.server, None, token=token)
                async with Client(cluster) as api:
                    await api.list(resources.FABRICS)
            assert fake.tokens == ["", "sesame"]

    event_loops.run(body())


def test_a_token_file_is_read_when_the_first_call_is_made_and_kept_for_a_while(
    tmp_path: Path,
) -> None:
    file = tmp_path / "token"

    async def body() -> None:
        async with api_server.serving() as fake:
            cluster = config.ClusterConfig(fake.cluster.server, None, token_file=file)
            async with Client(cluster) as api:
                file.write_text("first\n")
                await api.list(resources.FABRICS)
                file.write_text("second\n")
                await api.list(resources.FABRICS)
            assert fake.tokens == ["first", "first"]

    event_loops.run(body())


def test_a_refused_token_is_read_again_at_once(tmp_path: Path) -> None:
    file = tmp_path / "token"

    async def body() -> None:
        async with api_server.serving() as fake:
            cluster = config.ClusterConfig(fake.cluster.server, None, token_file=file)
            async with Client(cluster) as api:
                file.write_text("old\n")
                fake.refuse("GET", "fabrics", Refusal(401, "Unauthorized", "its account is gone"))
                with pytest.raises(errors.Unauthorised):
                    await api.list(resources.FABRICS)
                file.write_text("new\n")
                await api.list(resources.FABRICS)
            assert fake.tokens == ["old", "new"]

    event_loops.run(body())


# --- watches ------------------------------------------------------------------------------------


async def told(api: Client, version: str) -> list[tuple[str, str]]:
    """Return type and version of each event until the server ends the watch."""
    return [
        (event.type, event.object["metadata"]["resourceVersion"])
        async for event in api.watch(resources.FABRICS, version)
    ]


def test_a_watch_ends_when_the_server_ends_it() -> None:
    async def body(fake: api_server.ApiServer, api: Client) -> None:
        await api.create(resources.FABRICS, dict(FABRIC))
        watching = asyncio.ensure_future(told(api, "1"))
        await event_loops.until(lambda: "GET /apis/lbctl.io/v1alpha1/fabrics" in fake.calls)
        fake.bookmark()
        fake.end_watches()
        assert await watching == [("ADDED", "2"), ("BOOKMARK", "2")]

    ask(body)


def test_an_object_longer_than_any_buffer_is_one_event() -> None:
    async def body(fake: api_server.ApiServer, api: Client) -> None:
        long = {"metadata": {"name": "leaf"}, "spec": {"driver": "x" * 300_000}}
        await api.create(resources.FABRICS, long)
        async with contextlib.aclosing(api.watch(resources.FABRICS, "1")) as events:
            event = await anext(events)
        assert len(event.object["spec"]["driver"]) == 300_000

    ask(body)


def test_a_watch_from_a_version_that_is_gone_is_expired() -> None:
    async def body(fake: api_server.ApiServer, api: Client) -> None:
        await api.create(resources.FABRICS, dict(FABRIC))
        fake.compact()
        with pytest.raises(errors.Expired, match="too old"):
            await told(api, "1")

    ask(body)


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (Refusal(403, "Forbidden", "no"), errors.Unauthorised),
        (Refusal(410, "Expired", "old"), errors.Expired),
        (Refusal(503, "ServiceUnavailable", "later"), errors.Unavailable),
    ],
)
def test_a_watch_that_is_refused_says_why(refusal: Refusal, kind: type[Exception]) -> None:
    async def body(fake: api_server.ApiServer, api: Client) -> None:
        fake.refuse("GET", "watch=1", refusal)
        with pytest.raises(kind, match="watch fabrics"):
            await told(api, "1")

    ask(body)


def test_an_error_in_the_stream_that_is_no_expiry_means_try_again() -> None:
    async def body(fake: api_server.ApiServer, api: Client) -> None:
        watching = asyncio.ensure_future(told(api, "1"))
        await event_loops.until(lambda: bool(fake.calls))
        fake.fail_watches(Refusal(500, "InternalError", "etcd went away"))
        with pytest.raises(errors.Unavailable, match="etcd went away"):
            await watching

    ask(body)


def test_a_watch_whose_connection_breaks_means_try_again() -> None:
    async def body(fake: api_server.ApiServer, api: Client) -> None:
        await api.create(resources.FABRICS, dict(FABRIC))
        async with contextlib.aclosing(api.watch(resources.FABRICS, "1")) as events:
            await anext(events)
            fake.break_watches()
            with pytest.raises(errors.Unavailable, match="watch fabrics"):
                await anext(events)

    ask(body)
