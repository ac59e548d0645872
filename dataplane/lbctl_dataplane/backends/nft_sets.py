"""The sets of an nftables table of ours, for who changes something else before or after them."""

from lbctl.delta import Delta
from lbctl_dataplane.backends import commands, generation, nft_listing
from lbctl_dataplane.backends.kernel_table import LOADING_S
from lbctl_dataplane.rules.nft_elements import Element, Elements, Ends, Table


class NftSets:
    """The table in the kernel."""

    def __init__(self, table: Table) -> None:
        self._table = table
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
        found = await nft_listing.read(self._table)
        self._whole = found is not None
        return found or {}

    async def change(self, change: Delta[Element, Ends]) -> None:
        """Make a change; in one transaction but for thousands of elements."""
        there: Elements = dict.fromkeys(change.deletes, ())
        first, *rest = tuple(self._table.transactions(change.upserts, there)) or ("",)
        first = ("" if self._whole else self._table.new()) + self._without_limits(change) + first
        for text in filter(None, (first, *rest)):
            self._read_at = None
            await commands.run("nft", "-f", "-", stdin=text, timeout_s=LOADING_S)
        self._whole = True

    def _without_limits(self, change: Delta[Element, Ends]) -> str:
        """Return what takes elements away that get a limit: one that is there would keep its own.

        They are added first, as they need not be there, and with a limit of their own: of those
        that take the set's, Linux 6.18 counts the end and not the beginning among the users of
        conntrack, which stops when there seem to be none (measured).
        """
        limits = {
            key: ends for key, ends in change.upserts.items() if key.home in self._table.limited
        }
        added, gone = self._table.transactions(limits, {}), self._table.transactions({}, limits)
        return "".join((*added, *gone))
