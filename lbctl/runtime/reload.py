"""Take changes of the settings file while running: what can change does, the rest is told.

The file is looked at, not watched: a mounted ConfigMap changes by a swap of symbolic links.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from lbctl.model.errors import Misconfigured
from lbctl.runtime import config_file, logs
from lbctl.settings import Settings

log = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0


def accept(old: Settings, new: Settings) -> tuple[Settings, tuple[str, ...]]:
    """Return what of `new` may take effect now, and the names of settings that need a restart."""
    kept: list[str] = []
    lbctl, nameservice, lease, agent = new.lbctl, new.nameservice, new.lease, new.agent
    if lbctl.cluster_name != old.lbctl.cluster_name:
        kept.append("LbctlSettings.clusterName")
        lbctl = lbctl.model_copy(update={"cluster_name": old.lbctl.cluster_name})
    if nameservice.workers != old.nameservice.workers:
        kept.append("nameservice.workers")
        nameservice = nameservice.model_copy(update={"workers": old.nameservice.workers})
    if nameservice.rate_limit != old.nameservice.rate_limit:
        kept.append("nameservice.rateLimit")
        nameservice = nameservice.model_copy(update={"rate_limit": old.nameservice.rate_limit})
    if lease != old.lease:
        kept.append("lease")
        lease = old.lease
    if agent != old.agent:
        kept.append("agent")
        agent = old.agent
    if new.metrics != old.metrics:
        kept.append("metrics")
    parts = {"lbctl": lbctl, "nameservice": nameservice, "lease": lease, "agent": agent}
    parts["metrics"] = old.metrics
    return new.model_copy(update=parts), tuple(kept)


async def follow(path: Path | None, now: Settings, apply: Callable[[Settings], None]) -> None:
    """Call `apply` with the new settings whenever the file changes; never returns.

    A file that does not parse leaves everything as it was; so does a setting that `apply` refuses
    with Misconfigured. Log level and format are applied here.
    """
    seen: bytes | None = None
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        text = _read(path)
        if path is None or text is None or text == seen:
            continue
        first, seen = seen is None, text
        try:
            found = config_file.load(path)
            # The first look compares: the file may have changed since `now` was read from it.
            if not first or found != now:
                now = _take(now, found, apply)
        except Misconfigured as error:
            log.error("settings stay as they were: %s", error)


def _take(now: Settings, found: Settings, apply: Callable[[Settings], None]) -> Settings:
    accepted, kept = accept(now, found)
    for name in kept:
        log.error("%s changes only with a restart; until then it stays as it was", name)
    apply(accepted)
    logs.configure(accepted.lbctl)
    log.info("settings read again")
    return accepted


def _read(path: Path | None) -> bytes | None:
    try:
        return path.read_bytes() if path is not None else None
    except OSError:
        return None  # between two links of a swap; the next look finds it
