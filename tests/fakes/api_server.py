"""A Kubernetes API server in memory: what lbctl uses of it, over real HTTP on the loopback.

    async with api_server.serving() as fake:
        async with client.Client(fake.cluster) as api: ...

Faults to be had: `unavailable`, `silent`, `refuse` (the next call that matches), `hold` (calls that
match wait), `end_watches`, `break_watches`, `compact` (410 to watches from before).
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from aiohttp import web

from fakes import api_objects, api_patches
from fakes.api_objects import Event, Json, Objects, Place, Refusal, Rules
from lbctl.kube import client, config

PATCHES = {
    client.MERGE_PATCH: api_patches.merge,
    client.STRATEGIC_MERGE_PATCH: api_patches.merge_strategically,
}
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


class ApiServer:
    """One API server: its objects, its faults, and where it listens."""

    def __init__(self) -> None:
        self.objects = Objects()
        self.unavailable = False
        """Answer 503 to everything."""
        self.unavailable_for = ""
        """Answer 503 to every path with this in it."""
        self.silent = False
        """Take every request and never answer."""
        self.release = ("1", "36")
        """Major and minor of the version it says it has."""
        self.cluster = config.ClusterConfig("", None)
        self.calls: list[str] = []
        """`<method> <path>` of every request, in order."""
        self.queries: list[str] = []
        """The query string of every request for a collection, in order."""
        self.tokens: list[str] = []
        """The bearer token of every request, in order."""
        self._refusals: list[tuple[str, str, Refusal]] = []
        self._held: list[tuple[str, str, asyncio.Event]] = []
        self._changed = asyncio.Event()
        self._generation = 0
        self._broken = False
        self._failure: Refusal | None = None
        self._bookmarks = 0
        self.objects.subscribe(self._wake)

    # --- faults ---------------------------------------------------------------------------------

    def refuse(self, method: str, part: str, refusal: Refusal) -> None:
        """Answer the next call of that method whose path has `part` in it with a refusal."""
        self._refusals.append((method, part, refusal))

    def hold(self, method: str, part: str) -> asyncio.Event:
        """Let calls of that method whose path has `part` in it wait until the event is set."""
        gate = asyncio.Event()
        self._held.append((method, part, gate))
        return gate

    def end_watches(self) -> None:
        """End every watch that is open, as a restart of the server does."""
        self._generation += 1
        self._wake()

    def break_watches(self) -> None:
        """Cut the connection of every watch that is open."""
        self._broken = True
        self.end_watches()

    def fail_watches(self, refusal: Refusal) -> None:
        """Tell every watch that is open of a failure, in its stream."""
        self._failure = refusal
        self.end_watches()

    def bookmark(self) -> None:
        """Tell every watch that is open how far it has come."""
        self._bookmarks += 1
        self._wake()

    def compact(self) -> None:
        """Forget the past and end every watch: who resumes from before is told 410."""
        self.objects.compact()
        self.end_watches()

    def kubeconfig(self, path: Path) -> Path:
        """Write a kubeconfig that leads here and return its path."""
        named = {"name": "fake"}
        tree = {
            "current-context": "fake",
            "contexts": [{**named, "context": {"cluster": "fake", "user": "fake"}}],
            "clusters": [{**named, "cluster": {"server": self.cluster.server}}],
            "users": [{**named, "user": {"token": "anyone"}}],
        }
        path.write_text(json.dumps(tree))
        return path

    async def until_changed(self) -> None:
        """Wait for the next change of any object."""
        await self._changed.wait()

    # --- requests -------------------------------------------------------------------------------

    def application(self) -> web.Application:
        """Return the routes of every resource type that lbctl uses."""
        app = web.Application()
        app.router.add_get("/version", self._version)
        app.router.add_post(REVIEWS, self._review)
        for rules in api_objects.KNOWN:
            self._route(app, rules, rules.resource.path())
            if rules.resource.namespaced:
                self._route(app, rules, rules.resource.path("{namespace}"))
        return app

    def _route(self, app: web.Application, rules: Rules, path: str) -> None:
        async def collection(request: web.Request) -> web.StreamResponse:
            return await self._answer(request, rules)

        for suffix in ("", "/{name}", "/{name}/{sub}"):
            app.router.add_route("*", path + suffix, collection)

    async def _version(self, request: web.Request) -> web.Response:
        self.calls.append(f"{request.method} {request.path}")
        if self.unavailable:
            return web.Response(text="the fake is told to be unavailable", status=503)
        return web.json_response({"major": self.release[0], "minor": self.release[1]})

    async def _review(self, request: web.Request) -> web.Response:
        self.calls.append(f"{request.method} {request.path}")
        answer: Json = {**await request.json(), "status": {"allowed": True}}
        return web.json_response(answer, status=201)

    async def _answer(self, request: web.Request, rules: Rules) -> web.StreamResponse:
        self.calls.append(f"{request.method} {request.path}")
        if request.method == "GET" and "name" not in request.match_info:
            self.queries.append(request.query_string)
        self.tokens.append(request.headers.get("Authorization", "").removeprefix("Bearer "))
        try:
            await self._fail(request)
            if request.method == "GET" and request.query.get("watch"):
                return await self._watch(request, rules)
            body = await request.json() if request.can_read_body else {}
            code, answer = self._call(request, rules, body)
            return web.json_response(answer, status=code)
        except Refusal as refusal:
            if not refusal.reason:
                return web.Response(text=str(refusal), status=refusal.code)
            return web.json_response(_status(refusal), status=refusal.code, headers=refusal.headers)

    async def _fail(self, request: web.Request) -> None:
        if self.silent:
            await asyncio.Event().wait()
        for method, part, gate in self._held:
            if method == request.method and part in request.path_qs:
                await gate.wait()
        part = self.unavailable_for
        if self.unavailable or (part and part in request.path):
            raise Refusal(503, "ServiceUnavailable", "the fake is told to be unavailable")
        for entry in self._refusals:
            method, part, refusal = entry
            if method == request.method and part in request.path_qs:
                self._refusals.remove(entry)
                raise refusal

    def _call(self, request: web.Request, rules: Rules, body: Any) -> tuple[int, Json]:
        place, sub = _place(request), request.match_info.get("sub", "")
        if not place[1]:
            if request.method == "POST":
                return 201, self.objects.create(rules, place[0], body)
            return 200, self._list(request, rules)
        match request.method:
            case "GET":
                return 200, self.objects.get(rules, place)
            case "PUT":
                return 200, self.objects.replace(rules, place, body, sub)
            case "PATCH":
                return 200, self._patch(request, rules, place, body)
            case "DELETE":
                return 200, self.objects.delete(rules, place, body.get("preconditions") or {})
        raise Refusal(405, "MethodNotAllowed", request.method)

    def _patch(self, request: web.Request, rules: Rules, place: Place, body: Any) -> Json:
        apply = PATCHES.get(request.content_type)
        strategic = request.content_type == client.STRATEGIC_MERGE_PATCH
        if apply is None or (strategic and not rules.strategic):
            raise Refusal(415, "UnsupportedMediaType", request.content_type)
        patched = apply(self.objects.get(rules, place), body)
        return self.objects.replace(
            rules, place, patched, request.match_info.get("sub", ""), "patch"
        )

    def _list(self, request: web.Request, rules: Rules) -> Json:
        start = int(request.query.get("continue") or 0)
        limit = int(request.query.get("limit") or 0) or None
        chosen = [
            obj
            for (namespace, _), obj in self.objects.listed(rules)
            if _placed(request, namespace) and _selected(request, obj)
        ]
        meta: Json = {"resourceVersion": str(self.objects.version)}
        if limit is not None and start + limit < len(chosen):
            meta["continue"] = str(start + limit)
        return {"metadata": meta, "items": chosen[start : start + limit if limit else None]}

    # --- watches --------------------------------------------------------------------------------

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _watch(self, request: web.Request, rules: Rules) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        position = int(request.query["resourceVersion"])
        if position < self.objects.oldest:
            # The real server, too, answers 200 and then says so in the stream.
            await _send(response, "ERROR", _status(Refusal(410, "Expired", "too old")))
            return response
        generation, marks = self._generation, self._bookmarks
        while True:
            changed = self._changed
            for event in [event for event in self.objects.history if event.version > position]:
                position = event.version
                await self._tell(response, request, rules, event)
            if marks != self._bookmarks:
                marks = self._bookmarks
                meta = {"resourceVersion": str(self.objects.version)}
                await _send(response, "BOOKMARK", {"metadata": meta})
            if generation != self._generation:
                return await self._end(response, request)
            await changed.wait()

    async def _end(self, response: web.StreamResponse, request: web.Request) -> web.StreamResponse:
        if self._failure is not None:
            await _send(response, "ERROR", _status(self._failure))
        if self._broken and request.transport is not None:
            request.transport.abort()
        return response

    async def _tell(
        self, response: web.StreamResponse, request: web.Request, rules: Rules, event: Event
    ) -> None:
        if event.resource is not rules.resource:
            return
        if not _placed(request, event.object["metadata"].get("namespace", "")):
            return
        was = event.before is not None and _selected(request, event.before)
        is_now = event.type != "DELETED" and _selected(request, event.object)
        kind = {(False, True): "ADDED", (True, True): "MODIFIED", (True, False): "DELETED"}
        if (was, is_now) in kind:
            await _send(response, kind[was, is_now], event.object)


def _place(request: web.Request) -> Place:
    return (request.match_info.get("namespace", ""), request.match_info.get("name", ""))


def _placed(request: web.Request, namespace: str) -> bool:
    asked = request.match_info.get("namespace")
    return asked is None or asked == namespace


def _selected(request: web.Request, obj: Json) -> bool:
    labels = obj["metadata"].get("labels") or {}
    for part in filter(None, request.query.get("labelSelector", "").split(",")):
        key, equals, value = part.partition("=")
        if key not in labels or (equals and labels[key] != value):
            return False
    wanted = request.query.get("fieldSelector", "").removeprefix("metadata.name=")
    return wanted in {"", obj["metadata"]["name"]}


def _status(refusal: Refusal) -> Json:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": refusal.code,
        "reason": refusal.reason,
        "message": str(refusal),
    }


async def _send(response: web.StreamResponse, kind: str, obj: Json) -> None:
    await response.write(json.dumps({"type": kind, "object": obj}).encode() + b"\n")


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[ApiServer]:
    """Serve on a free port of the loopback until the block ends."""
    fake = ApiServer()
    runner = web.AppRunner(
        fake.application(), access_log=None, shutdown_timeout=0.01, handler_cancellation=True
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        fake.cluster = config.ClusterConfig(f"http://{host}:{port}", None)
        yield fake
    finally:
        fake.end_watches()
        await runner.cleanup()
