"""The nftables table beside IPVS: read it, change it, each time in one transaction."""

from typing import Protocol

from lbctl.delta import Delta
from lbctl_dataplane.backends import commands, tables
from lbctl_dataplane.rules import ipvs_filter
from lbctl_dataplane.rules.ipvs_filter import Element


class Filter(Protocol):
    """What keeps clients out that may not connect, and off what is no listener's port."""

    async def observe(self) -> dict[Element, str]:
        """Return what it holds. Raises Unavailable where nothing can."""
        ...

    async def change(self, change: Delta[Element, str]) -> None:
        """Make a change, all of it or nothing."""
        ...


class NftFilter:
    """The table in the kernel."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._whole = False

    async def observe(self) -> dict[Element, str]:
        """Return its elements; none of a table that is damaged: the next change replaces it."""
        found = ipvs_filter.parse(
            await tables.listing(ipvs_filter.TABLE, "-j", "--numeric-protocol")
        )
        self._whole = found.rules == ipvs_filter.numbers(self._device)
        return dict.fromkeys(found.elements, "") if self._whole else {}

    async def change(self, change: Delta[Element, str]) -> None:
        """Make a change in one transaction."""
        frame = "" if self._whole else ipvs_filter.render_frame(self._device)
        text = frame + ipvs_filter.render(change)
        if text:
            await commands.run("nft", "-f", "-", stdin=text)
            self._whole = True
