"""What a row of probes says about one member, and when it is asked again. Pure.

A member counts as up until it is proved to be down: `fall` failures in a row do that, and `rise`
good probes in a row bring it back, as in Kubernetes, HAProxy and AKO.
"""

from dataclasses import dataclass

from lbctl.model.monitors import Failure, Monitor
from lbctl.model.virtual_service import Address


@dataclass(frozen=True, slots=True)
class Target:
    """Who is asked, and how: the unit of probing, however many places share a member."""

    address: Address
    port: int
    monitor: Monitor

    def __hash__(self) -> int:
        """Return what costs little: a member has one monitor, or two."""
        return hash((int(self.address), self.port))


@dataclass(frozen=True, slots=True)
class Health:
    """What is known of one target."""

    up: bool = True
    against: int = 0
    """Probes in a row that said otherwise."""
    why: Failure | None = None
    """Of the last probe that failed; None while all is well."""


NEW = Health()


def after(health: Health, failure: Failure | None, monitor: Monitor) -> Health:
    """Return what is known after one more probe; `failure` is None for a good one.

    >>> from lbctl.model.monitors import Kind
    >>> monitor = Monitor(Kind.TCP, rise=2, fall=2)
    >>> once = after(NEW, Failure.REFUSED, monitor)
    >>> once.up, after(once, Failure.REFUSED, monitor).up, after(once, None, monitor) == NEW
    (True, False, True)
    """
    if (failure is None) is health.up:
        return Health(health.up, 0, failure)
    against = health.against + 1
    if against < (monitor.fall if health.up else monitor.rise):
        return Health(health.up, against, failure or health.why)
    return Health(not health.up, 0, failure)


def pause_s(health: Health, monitor: Monitor) -> float:
    """Return the seconds from one probe's start to the next one's, before jitter.

    Once a probe has failed, the next ones start a little earlier, so that the last of `fall` ones
    that hang has timed out `fall` intervals after the last good one began, and not a timeout
    later. With `fall` 1 every probe may be that one.
    """
    interval_s, timeout_s = monitor.interval_ms / 1000, monitor.timeout_ms / 1000
    if health.up and (health.against or monitor.fall == 1):
        return interval_s - timeout_s / max(monitor.fall - 1, 1)
    return interval_s
