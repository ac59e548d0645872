"""The nftables table beside IPVS."""

from typing import Protocol

from lbctl.delta import Delta
from lbctl_dataplane.backends.tables.sets import NftSets
from lbctl_dataplane.rules.ipvs import gate
from lbctl_dataplane.rules.tables.elements import Element, Elements, Ends


class Filter(Protocol):
    """What keeps clients out that may not connect, and off what is no listener's port."""

    async def observe(self) -> Elements:
        """Return what it holds. Raises Unavailable where nothing can."""
        ...

    async def change(self, change: Delta[Element, Ends]) -> None:
        """Make a change, all of it or nothing."""
        ...


class NftFilter(NftSets):
    """The table in the kernel; VIP traffic enters by `device`."""

    def __init__(self, device: str, *, answer_pings: bool = True) -> None:
        super().__init__(gate.table(device, answer_pings=answer_pings))
