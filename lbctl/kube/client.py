"""A thin client of the API server: raw JSON over aiohttp (why: ADR 1).

Every call raises the tree of `lbctl.model.errors`; none retries by itself, because the
caller knows whether its decision still holds (see `lbctl.kube.retry`).
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp

from lbctl.kube import config, traffic
from lbctl.kube.objects import Json
from lbctl.kube.resources import Resource
from lbctl.model import errors

MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"

LIST_PAGE = 1000
"""Objects per page of a list: bounds the server's memory for one answer."""
WATCH_SECONDS = 300
WATCH_SILENCE_S = 120.0
"""A bookmark comes about every minute; a watch silent for longer is dead."""
TOKEN_REREAD_S = 60.0
FIELD_MANAGER = {"fieldManager": "lbctl"}
"""Who wrote a field, in the object's managedFields."""


@dataclass(frozen=True, slots=True)
class ListResult:
    """All objects of one list and the version to watch from."""

    items: tuple[Json, ...]
    resource_version: str


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One line of a watch: ADDED, MODIFIED, DELETED or BOOKMARK."""

    type: str
    object: Json


class Client:
    """Calls to one API server under one identity; use as an async context."""

    def __init__(
        self,
        cluster: config.ClusterConfig,
        *,
        timeout_s: float = 10.0,
        observer: traffic.Observer | None = None,
    ) -> None:
        self._cluster = cluster
        self._observer = observer or traffic.Nobody()
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None
        self._token = cluster.token
        self._token_read_at = float("-inf")

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            limit=0, ssl=self._cluster.tls if self._cluster.tls is not None else False
        )
        self._session = aiohttp.ClientSession(
            connector=connector, auto_decompress=True, trust_env=False
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> ListResult:
        """Return all objects (of one namespace, if given) as of one version: a quorum read."""
        items: list[Json] = []
        params = {"limit": str(LIST_PAGE), **_selectors(label_selector, field_selector)}
        while True:
            page = await self._call("GET", resource.path(namespace), params=params)
            items.extend(page.get("items") or [])
            meta = page.get("metadata", {})
            if not meta.get("continue"):
                return ListResult(tuple(items), str(meta.get("resourceVersion", "")))
            params["continue"] = meta["continue"]

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Json:
        """Return one object, read from the quorum. Raises NotFound."""
        return await self._call("GET", resource.path(namespace, name))

    async def create(self, resource: Resource, body: Json, namespace: str | None = None) -> Json:
        """Create one object. Raises AlreadyExists."""
        path = resource.path(namespace)
        return await self._call("POST", path, body=_typed(resource, body), params=FIELD_MANAGER)

    async def replace(
        self, resource: Resource, body: Json, namespace: str | None = None, *, sub: str = ""
    ) -> Json:
        """Replace one object; with a resourceVersion in `body`, only that version (Conflict)."""
        path = resource.path(namespace, body["metadata"]["name"], sub)
        return await self._call("PUT", path, body=_typed(resource, body), params=FIELD_MANAGER)

    async def patch(
        self,
        resource: Resource,
        name: str,
        body: Json | Sequence[Json],
        namespace: str | None = None,
        *,
        sub: str = "",
        kind: str = MERGE_PATCH,
    ) -> Json:
        """Patch one object or its subresource; a resourceVersion in it makes it conditional."""
        path = resource.path(namespace, name, sub)
        return await self._call("PATCH", path, body=body, content_type=kind, params=FIELD_MANAGER)

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        uid: str = "",
        resource_version: str = "",
    ) -> None:
        """Delete one object under preconditions. Raises NotFound, Conflict."""
        wanted = {"uid": uid, "resourceVersion": resource_version}
        preconditions = {key: value for key, value in wanted.items() if value}
        body: Json = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if preconditions:
            body["preconditions"] = preconditions
        await self._call("DELETE", resource.path(namespace, name), body=body)

    async def raw(
        self, method: str, path: str, body: Json | None = None, params: Mapping[str, str] = {}
    ) -> Json:
        """Call any path of the API server (tokens, scale, version)."""
        return await self._call(method, path, body=body, params=params)

    async def watch(
        self,
        resource: Resource,
        resource_version: str,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncIterator[WatchEvent]:
        """Yield changes after `resource_version` until the server ends the watch.

        Raises Expired when the server no longer keeps that version.
        """
        params = {
            "watch": "1",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
            **_selectors(label_selector, field_selector),
        }
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=WATCH_SILENCE_S)
        url = self._cluster.server + resource.path(namespace)
        answered = False
        try:
            async with self._open.get(
                url, params=params, headers=self._headers(), timeout=timeout
            ) as response:
                answered = True
                self._observer.called("watch", resource.plural, str(response.status), 0.0)
                if response.status >= 400:
                    self._distrust_token(response.status)
                    raise _error(response, await response.read(), f"watch {resource.plural}")
                with self._watching(resource.plural):
                    async for event in _events(response):
                        yield event
        except (aiohttp.ClientError, TimeoutError) as error:
            if not answered:
                self._observer.called("watch", resource.plural, "none", 0.0)
            raise errors.Unavailable(f"watch {resource.plural}: {error!r}") from error

    @contextlib.contextmanager
    def _watching(self, resource: str) -> Iterator[None]:
        """Tell the observer of an open watch and why it ended."""
        self._observer.watch_opened(resource)
        reason = "left"
        try:
            yield
            reason = "ended"
        except errors.Expired:
            reason = "expired"
            raise
        except (errors.LbctlError, aiohttp.ClientError, TimeoutError):
            reason = "broken"
            raise
        finally:
            self._observer.watch_ended(resource, reason)

    @property
    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise errors.Misconfigured("the client is used outside its `async with`")
        return self._session

    def _headers(self, content_type: str = "") -> dict[str, str]:
        headers = {"Accept": "application/json"}
        if content_type:
            headers["Content-Type"] = content_type
        token = self._bearer()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return headers

    def _bearer(self) -> str:
        file = self._cluster.token_file
        now = asyncio.get_running_loop().time()
        if file is not None and now - self._token_read_at > TOKEN_REREAD_S:
            self._token, self._token_read_at = file.read_text().strip(), now
        return self._token

    def _distrust_token(self, status: int) -> None:
        if status == 401:
            self._token_read_at = float("-inf")  # the file may hold a newer one by now

    async def _call(
        self,
        method: str,
        path: str,
        *,
        body: Json | Sequence[Json] | None = None,
        content_type: str = "application/json",
        params: Mapping[str, str] = {},
    ) -> Json:
        payload = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        verb, resource = traffic.verb_and_resource(method, path)
        started, code = time.monotonic(), "none"
        try:
            async with self._open.request(
                method,
                self._cluster.server + path,
                data=payload,
                params=params,
                headers=self._headers(content_type if payload else ""),
                timeout=self._timeout,
            ) as response:
                content = await response.read()
                code = str(response.status)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise errors.Unavailable(f"{method} {path}: {error!r}") from error
        finally:
            self._observer.called(verb, resource, code, time.monotonic() - started)
        if response.status >= 400:
            self._distrust_token(response.status)
            raise _error(response, content, f"{method} {path}")
        answer: Json = json.loads(content) if content else {}
        return answer


def _selectors(labels: str, fields: str) -> dict[str, str]:
    given = {"labelSelector": labels, "fieldSelector": fields}
    return {name: selector for name, selector in given.items() if selector}


def _typed(resource: Resource, body: Json) -> Json:
    return {"apiVersion": resource.api_version, "kind": resource.kind, **body}


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[WatchEvent]:
    # Not readline(): aiohttp bounds a line at 64 KiB and a slice of 1,000 endpoints is longer.
    rest = b""
    async for chunk in response.content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                yield _event(json.loads(line))


def _event(line: Json) -> WatchEvent:
    if line["type"] == "ERROR":
        status = line["object"]
        message = str(status.get("message", status))
        if status.get("code") == 410:
            raise errors.Expired(message)
        raise errors.Unavailable(message)
    return WatchEvent(line["type"], line["object"])


_BY_STATUS: Mapping[int, type[errors.LbctlError]] = {
    400: errors.Rejected,
    401: errors.Unauthorised,
    403: errors.Unauthorised,
    404: errors.NotFound,
    405: errors.Rejected,
    409: errors.Conflict,
    410: errors.Expired,
    413: errors.Rejected,
    415: errors.Rejected,
    422: errors.Rejected,
}


def _error(response: aiohttp.ClientResponse, content: bytes, call: str) -> errors.LbctlError:
    try:
        status: Json = json.loads(content)
    except ValueError:
        status = {"message": content[:200].decode(errors="replace")}
    message = f"{call}: {response.status} {status.get('message', '')}"
    if response.status == 409 and status.get("reason") == "AlreadyExists":
        return errors.AlreadyExists(message)
    if response.status == 429:
        return errors.Throttled(message, float(response.headers.get("Retry-After", "1")))
    return _BY_STATUS.get(response.status, errors.Unavailable)(message)
