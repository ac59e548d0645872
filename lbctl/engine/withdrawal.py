"""`deleteConfig`: how far the withdrawal of everything has come, for people and scripts."""

import asyncio
import logging

from lbctl.engine.caches import Caches
from lbctl.kube import client, resources
from lbctl.kube.objects import Json
from lbctl.model import errors
from lbctl.translate.pools import is_mirror

log = logging.getLogger(__name__)

ANNOTATION = "lbctl.io/delete-config"
"""On the controller's Lease: `Started: 3 of 12 left`, then `Done: 12 withdrawn`."""
REPORT_EVERY_S = 1.0


def left(known: Caches) -> int:
    """Return how many objects of ours are still in the API.

    An address that an administrator reserved is his.
    """
    given = [obj for obj in known.allocations if is_given(obj)]
    mirrors = [obj for obj in known.address_pools if is_mirror(obj)]
    return len(known.decisions) + len(given) + len(mirrors) + len(known.zones)


def is_given(allocation: Json) -> bool:
    """Tell whether an IPAllocation is lbctl's: held, kept for a while after that, or an IPAM's."""
    spec = allocation["spec"]
    return bool(spec.get("holders") or spec.get("releasedAt") or spec.get("source"))


def dry_run(known: Caches) -> str:
    """Return what a withdrawal would take away, in words."""
    held: list[str] = sorted(
        "{namespace}/{name}".format(**obj["spec"]["service"]) for obj in known.decisions
    )
    return (
        f"would withdraw {len(held)} virtual services and free "
        f"{sum(map(is_given, known.allocations))} addresses: {', '.join(held) or 'nothing'}"
    )


async def until_done(api: client.Client, known: Caches, lease: tuple[str, str]) -> None:
    """Report until nothing of ours is left; returns then."""
    total = left(known)
    while left(known):
        await _report(api, lease, f"Started: {left(known)} of {total} left")
        await asyncio.sleep(REPORT_EVERY_S)
    await _report(api, lease, f"Done: {total} withdrawn")


async def _report(api: client.Client, lease: tuple[str, str], text: str) -> None:
    log.info("deleteConfig: %s", text)
    namespace, name = lease
    patch = {"metadata": {"annotations": {ANNOTATION: text}}}
    try:
        await api.patch(resources.LEASES, name, patch, namespace)
    except errors.LbctlError as error:
        log.warning("deleteConfig: progress not shown: %s", error)
