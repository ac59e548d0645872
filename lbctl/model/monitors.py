"""Active health monitors: what is asked of a member, how often, and what counts. Pure.

The schema of this is `spec.policy.monitor` in the definition of L4VirtualService, and the page
docs/reference/health-monitors.md.
"""

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HEX = "0x"
"""How a payload of bytes begins: `0x` and pairs of hexadecimal digits."""
Codes = tuple[tuple[int, int], ...]
"""Ranges of HTTP codes, both ends included."""


class Kind(enum.Enum):
    """How a member is asked."""

    TCP = "tcp"
    """A connection is opened and closed."""
    HALF_OPEN = "half-open"
    """SYN, and RST to the answer: the application never sees a connection."""
    UDP = "udp"
    """A datagram; ICMP unreachable says no, and so does silence where an answer is expected."""
    HTTP = "http"
    HTTPS = "https"


class Failure(enum.Enum):
    """Why a probe failed; the value is what users see."""

    REFUSED = "Refused"
    TIMED_OUT = "TimedOut"
    UNREACHABLE = "Unreachable"
    CLOSED = "Closed"
    WRONG_ANSWER = "WrongAnswer"
    WRONG_CODE = "WrongCode"
    WRONG_BODY = "WrongBody"
    TLS_FAILED = "TLSFailed"


FAILURE_MEANING: dict[Failure, str] = {
    Failure.REFUSED: "nothing listens on the port: RST, or ICMP port unreachable",
    Failure.TIMED_OUT: "no answer, or no whole one, within the timeout",
    Failure.UNREACHABLE: "the node has no way to the address",
    Failure.CLOSED: "the connection was ended before there was an answer",
    Failure.WRONG_ANSWER: "what came is not HTTP, or the datagram has not the expected content",
    Failure.WRONG_CODE: "the HTTP code is not in `codes`",
    Failure.WRONG_BODY: "`body` is not in the first 64 KiB of the answer",
    Failure.TLS_FAILED: "no TLS session: protocol, or with `verify` the certificate",
}
"""One sentence for users."""


@dataclass(frozen=True, slots=True)
class Monitor:
    """One health monitor. Times are milliseconds; `timeout_ms` is at most half of `interval_ms`."""

    kind: Kind
    port: int = 0
    """Asked instead of the member's own port; 0: the member's own."""
    interval_ms: int = 5000
    """From one probe's start to the next one's."""
    timeout_ms: int = 2000
    """Until a probe must have its whole answer."""
    rise: int = 2
    """Good probes in a row that bring a member back."""
    fall: int = 3
    """Failed probes in a row that take it out."""
    jitter_percent: int = 10
    """Each interval is shortened by a random part of up to this: members are not asked in step."""
    path: str = "/"
    """HTTP: what is asked for."""
    host: str = ""
    """HTTP: the Host header and TLS's server name; empty: the member's address and port."""
    codes: Codes = ((200, 399),)
    """HTTP: what counts as good."""
    body: str = ""
    """HTTP: text that the answer's body must contain; empty: any."""
    verify: bool = False
    """HTTPS: check the certificate against the system's authorities and `host`."""
    send: str = ""
    """UDP: the datagram, text or bytes (`HEX`)."""
    expect: str = ""
    """UDP: what the answer must contain, text or bytes; empty: silence is good, too."""

    def asks(self, protocol: str) -> bool:
        """Tell whether members of a listener are asked: a port of its own is for all of them."""
        if self.port:
            return True
        return protocol == ("UDP" if self.kind is Kind.UDP else "TCP")


def payload(text: str) -> bytes:
    r"""Return the bytes that `send` or `expect` mean.

    >>> payload("0x00ff"), payload("ping")
    (b'\x00\xff', b'ping')
    """
    return bytes.fromhex(text.removeprefix(HEX)) if text.startswith(HEX) else text.encode()


def render_monitor(monitor: Monitor) -> dict[str, Any]:
    """Return the form of the API; what is empty is left out."""
    rendered: dict[str, Any] = {
        "type": monitor.kind.value,
        "port": monitor.port,
        "intervalMilliseconds": monitor.interval_ms,
        "timeoutMilliseconds": monitor.timeout_ms,
        "rise": monitor.rise,
        "fall": monitor.fall,
        "jitterPercent": monitor.jitter_percent,
        "path": monitor.path,
        "host": monitor.host,
        "codes": [f"{low}-{high}" if low != high else str(low) for low, high in monitor.codes],
        "body": monitor.body,
        "verify": monitor.verify,
        "send": monitor.send,
        "expect": monitor.expect,
    }
    return {key: value for key, value in rendered.items() if value or key == "jitterPercent"}


def parse_monitor(spec: Mapping[str, Any]) -> Monitor:
    """Return a monitor as the API server has it; what is not said is the default.

    Raises KeyError or ValueError on what the schema would refuse.
    """
    default = Monitor(Kind(spec["type"]))
    made = Monitor(
        kind=default.kind,
        port=spec.get("port", default.port),
        interval_ms=spec.get("intervalMilliseconds", default.interval_ms),
        timeout_ms=spec.get("timeoutMilliseconds", default.timeout_ms),
        rise=spec.get("rise", default.rise),
        fall=spec.get("fall", default.fall),
        jitter_percent=spec.get("jitterPercent", default.jitter_percent),
        path=spec.get("path", default.path),
        host=spec.get("host", default.host),
        codes=tuple(map(_codes, spec["codes"])) if spec.get("codes") else default.codes,
        body=spec.get("body", default.body),
        verify=spec.get("verify", default.verify),
        send=spec.get("send", default.send),
        expect=spec.get("expect", default.expect),
    )
    _check(made)
    return made


def _codes(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-5]\d\d)(?:-([1-5]\d\d))?", text)
    if found is None:
        raise ValueError(f"codes: {text!r} is neither a code nor a range of codes, as 200-299")
    return int(found[1]), int(found[2] or found[1])


def _check(monitor: Monitor) -> None:
    """Refuse what would make the promise of docs/reference/health-monitors.md untrue."""
    if not 0 < 2 * monitor.timeout_ms <= monitor.interval_ms:
        raise ValueError("the timeout is longer than half of the interval: shorten it")
    if any(ord(sign) <= ord(" ") or ord(sign) > ord("~") for sign in monitor.path + monitor.host):
        # A line's end here would be a header, or a request, of somebody else's making.
        raise ValueError("path and host are visible ASCII without spaces: encode the rest with %")
    payload(monitor.send)
    payload(monitor.expect)
