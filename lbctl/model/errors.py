"""The exception tree of the shells. Pure.

    LbctlError
    ├── Retryable            the same call may succeed later
    │   ├── Unavailable      no answer, timeout, 5xx
    │   ├── Throttled        429, with the server's wait
    │   ├── Conflict         409: the object moved on; read again, decide again
    │   └── Expired          410: the watch position is gone; list again
    └── Permanent            the same call will fail again
        ├── NotFound         404
        ├── AlreadyExists    409 on create
        ├── Rejected         400, 422: the server does not take this object
        ├── Unauthorised     401, 403
        └── Misconfigured    a setting or file names what does not exist or does not parse

Refusals that users cause are values, not exceptions: see `lbctl.model.reasons`.
"""


class LbctlError(Exception):
    """Root of everything lbctl raises on purpose."""


class Retryable(LbctlError):
    """The same call may succeed later; callers wait and repeat."""


class Unavailable(Retryable):
    """The other side gave no usable answer: refused, timed out, 5xx."""


class Throttled(Retryable):
    """The other side asks to wait `retry_after_s` seconds."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Conflict(Retryable):
    """The object changed since it was read: read it again and decide again."""


class Expired(Retryable):
    """The watch position is no longer kept by the server: list again."""


class Permanent(LbctlError):
    """The same call will fail again; repeating it is no cure."""


class NotFound(Permanent):
    """The object does not exist."""


class AlreadyExists(Permanent):
    """An object of that name exists already."""


class Rejected(Permanent):
    """The server refuses the content of the request."""


class Unauthorised(Permanent):
    """The credentials do not allow the call."""


class Misconfigured(Permanent):
    """A setting or file names what does not exist or does not parse."""
