"""The connections that a kernel tracks: list some, drop some."""

import contextlib
from collections.abc import Iterable

from lbctl.model import errors
from lbctl_dataplane.backends import commands

FAMILIES = {4: "ipv4", 6: "ipv6"}


async def listing(versions: Iterable[int], *filters: str) -> str:
    """Return the lines of `conntrack -L` for some IP versions."""
    shown = [
        await commands.run("conntrack", "-L", "-f", FAMILIES[version], *filters)
        for version in sorted(versions)
    ]
    return "\n".join(shown)


async def drop(version: int, *filters: str) -> bool:
    """Return whether there was something to drop: the command fails when there was nothing."""
    with contextlib.suppress(errors.Unavailable):
        await commands.run("conntrack", "-D", "-f", FAMILIES[version], *filters)
        return True
    return False
