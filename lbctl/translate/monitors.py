"""Health monitors as users write them, in an L4Policy or an annotation, become monitors. Pure."""

import re
from typing import Annotated, Literal

from pydantic import Field

from lbctl.model.monitors import Monitor, parse_monitor
from lbctl.settings_parts import Section

_SHORT = re.compile(
    r"(tcp|half-open|udp|http|https)"
    r"(?::([1-9][0-9]{0,4}))?"
    r"(/[!-~]*)?"
)
Code = Annotated[str, Field(pattern=r"^[1-5][0-9][0-9](-[1-5][0-9][0-9])?$")]


class MonitorForm(Section):
    """`spec.monitor` of an L4Policy; what is not said is as `lbctl.model.monitors` says."""

    type: Literal["tcp", "half-open", "udp", "http", "https"]
    port: int = Field(default=0, ge=0, le=65_535)
    interval_milliseconds: int = Field(default=5000, ge=100, le=3_600_000)
    timeout_milliseconds: int = Field(default=2000, ge=10, le=300_000)
    rise: int = Field(default=2, ge=1, le=50)
    fall: int = Field(default=3, ge=1, le=50)
    jitter_percent: int = Field(default=10, ge=0, le=50)
    path: str = Field(default="/", pattern=r"^/[!-~]*$")
    host: str = Field(default="", pattern=r"^[!-~]*$")
    codes: tuple[Code, ...] = ()
    body: str = ""
    verify: bool = False
    send: str = ""
    expect: str = ""


def monitor_of(form: MonitorForm) -> Monitor:
    """Return the monitor. Raises ValueError that says what does not fit together."""
    return parse_monitor(form.model_dump(by_alias=True, exclude_unset=True))


def parse_short(text: str) -> Monitor | None:
    """Return the monitor of an annotation, `<type>[:<port>][/<path>]`; None: it is none.

    >>> parse_short("http:8081/healthz").path
    '/healthz'
    """
    found = _SHORT.fullmatch(text)
    if found is None:
        return None
    kind, port, path = found.groups()
    if (path and not kind.startswith("http")) or int(port or 0) > 65_535:
        return None
    return parse_monitor({"type": kind, "port": int(port or 0), "path": path or "/"})
