"""The nftables table beside IPVS."""

from typing import Protocol

from lbctl.delta import Delta
from lbctl_dataplane.backends.nft_sets import NftSets
from lbctl_dataplane.rules import ipvs_filter
from lbctl_dataplane.rules.nft_elements import Element, Elements, Ends


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
        super().__init__(ipvs_filter.table(device, answer_pings=answer_pings))
