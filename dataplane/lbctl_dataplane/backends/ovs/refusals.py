"""The table beside Open vSwitch that refuses clients, where the kernel can."""

import logging

from lbctl.delta import Delta
from lbctl.model import errors
from lbctl_dataplane.backends.tables.sets import NftSets
from lbctl_dataplane.rules.tables.elements import Element, Ends, Table

log = logging.getLogger(__name__)

_UNABLE = ("Operation not supported", "No such file or directory")
"""What nft says of a rule whose kind the kernel does not have, or not at this hook."""


class Refusals(NftSets):
    """The table in the kernel; without it clients that nobody serves meet silence, and no more."""

    def __init__(self, table: Table) -> None:
        super().__init__(table)
        self._unable = False

    def untouched(self) -> bool:
        """Tell whether the table is as it was read last, or can't be there at all."""
        return self._unable or super().untouched()

    async def change(self, change: Delta[Element, Ends]) -> None:
        """Make a change in one transaction; nothing where the kernel can't have such a table."""
        if self._unable:
            return
        try:
            await super().change(change)
        except errors.Unavailable as error:
            if not any(text in str(error) for text in _UNABLE):
                raise
            self._unable = True
            log.warning(
                "clients that nobody serves are met by silence until a restart: this kernel can't "
                "refuse them at ingress; nft_reject_netdev does, Linux 5.10 and later: %s",
                error,
            )
