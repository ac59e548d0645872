"""An nftables table of ours whose sets change: read it, change it, each time in one transaction."""

from lbctl.delta import Delta
from lbctl_dataplane.backends import commands, generation, tables
from lbctl_dataplane.rules import nft_sets
from lbctl_dataplane.rules.nft_sets import Element, Table


class NftSets:
    """The table in the kernel."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._whole = False
        self._read_at: int | None = None
        """The kernel's count when the table was read; None after a change of ours."""

    def untouched(self) -> bool:
        """Tell whether the table is as it was read last, for certain: a listing would be waste."""
        return self._read_at is not None and self._read_at == generation.read()

    async def observe(self) -> dict[Element, str]:
        """Return its elements; none of a table that is damaged: the next change replaces it."""
        self._read_at = generation.read()
        listing = await tables.listing(self._table.name, "-j", "--numeric-protocol")
        found = nft_sets.parse(listing)
        self._whole = found.rules == self._table.rules
        return dict.fromkeys(found.elements, "") if self._whole else {}

    async def change(self, change: Delta[Element, str]) -> None:
        """Make a change in one transaction."""
        text = ("" if self._whole else self._table.render_new()) + self._table.render(change)
        if text:
            self._read_at = None
            await commands.run("nft", "-f", "-", stdin=text)
            self._whole = True
