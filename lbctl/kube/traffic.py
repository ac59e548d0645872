"""What is said of calls to the API server, to whoever counts them. Pure but for who listens."""

from typing import Protocol

_WITH_NAME = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "POST": "create"}
_WITHOUT_NAME = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}


class Observer(Protocol):
    """Is told of every call; must not raise and must not take long."""

    def called(self, verb: str, resource: str, code: str, took_s: float) -> None:
        """Take note of a call: the API's verb, the plural, the status or `none`, seconds."""
        ...

    def watch_opened(self, resource: str) -> None:
        """Take note of a watch that the server accepted."""
        ...

    def watch_ended(self, resource: str, reason: str) -> None:
        """Take note that it ended: `ended` by the server, `expired`, `broken`, `left` by us."""
        ...


class Nobody:
    """Takes no note."""

    def called(self, verb: str, resource: str, code: str, took_s: float) -> None:
        """Let it pass."""

    def watch_opened(self, resource: str) -> None:
        """Let it pass."""

    def watch_ended(self, resource: str, reason: str) -> None:
        """Let it pass."""


def verb_and_resource(method: str, path: str) -> tuple[str, str]:
    """Return the API's verb and the resource of a request, without names of objects.

    >>> verb_and_resource("PATCH", "/api/v1/namespaces/a/services/b/status")
    ('patch', 'services')
    >>> verb_and_resource("GET", "/apis/lbctl.io/v1alpha1/ipallocations")
    ('list', 'ipallocations')
    >>> verb_and_resource("GET", "/version")
    ('get', '')
    """
    parts = path.strip("/").split("/")
    rest = parts[2:] if parts[0] == "api" else parts[3:] if parts[0] == "apis" else []
    if len(rest) > 2 and rest[0] == "namespaces" and rest[2] not in {"status", "finalize"}:
        rest = rest[2:]
    if not rest:
        return _WITH_NAME.get(method, "other"), ""
    verbs = _WITH_NAME if len(rest) > 1 else _WITHOUT_NAME
    return verbs.get(method, "other"), rest[0]
