"""The sets of an nftables table of ours, for who changes something else before or after them."""

from lbctl.delta import Delta
from lbctl_dataplane.backends import commands
from lbctl_dataplane.backends.tables import generation, listing
from lbctl_dataplane.backends.tables.kernel_table import LOADING_S
from lbctl_dataplane.rules.tables.elements import Element, Elements, Ends, Table


class NftSets:
    """The table in the kernel."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._held: dict[Element, Ends] = {}
        """What the table holds, as it was read or changed last."""
        self._whole = False
        self._counter = generation.Counter()
        self._read_at: int | None = None
        """The kernel's count when the table was read; None after a change of ours."""

    def untouched(self) -> bool:
        """Tell whether the table is as it was read last, for certain: a listing would be waste."""
        return self._read_at is not None and self._read_at == self._counter.read()

    async def observe(self) -> Elements:
        """Return its elements; none of a table that is damaged: the next change replaces it."""
        self._read_at = self._counter.read()
        found = await listing.read(self._table)
        self._whole = found is not None
        self._held = dict(found or {})
        return found or {}

    async def change(self, change: Delta[Element, Ends]) -> None:
        """Make a change; in one transaction but for thousands of elements."""
        touched = change.upserts.keys() | change.deletes
        there = {key: self._held[key] for key in touched if key in self._held}
        first, *rest = tuple(self._table.transactions(change.upserts, there)) or ("",)
        first = ("" if self._whole else self._table.new()) + first
        for text in filter(None, (first, *rest)):
            self._read_at = None
            await commands.run("nft", "-f", "-", stdin=text, timeout_s=LOADING_S)
        self._whole = True
        self._held.update(change.upserts)
        for key in change.deletes:
            self._held.pop(key, None)
