"""One nftables table of ours in the kernel: one transaction per change, read back in audits.

A pass sends what it changes and nothing else: a transaction is all or nothing, so what was taken is
there. Everything is read back when that chain of knowledge has a gap: at the start, after a
failure, and in an audit when the kernel has counted a transaction that was not ours, since others
may have changed our table. Tables of others are never looked at.
"""

from lbctl.model import errors
from lbctl_dataplane.backends import audits, commands
from lbctl_dataplane.backends.tables import batches, listing
from lbctl_dataplane.backends.tables.generation import Others
from lbctl_dataplane.backends.tables.netfilter import Netfilter
from lbctl_dataplane.rules.tables import batch as nft_batch
from lbctl_dataplane.rules.tables.elements import KeptTable

LOADING_S = 60.0
"""Longest time for one nft command: ten thousand Services take some seconds."""


class KernelTable:
    """The kernel's side of a table."""

    def __init__(self, kept: KeptTable, others: Others | None = None) -> None:
        """Keep a table; `others` is shared by tables of one agent: none reads for another's."""
        self._kept = kept
        self._others = others or Others()
        self._told = Netfilter()
        self._audits = audits.Audits()
        self._generation: int | None = None
        """The count of others' transactions at which the table is what is known of it."""

    def audit_due(self) -> bool:
        """Tell whether the next call of `make_it_so` reads everything back."""
        return self._audits.due()

    def distrust(self) -> None:
        """Read everything back next time: what is known may be wrong."""
        self._generation = None
        self._audits.distrust()

    async def make_it_so(self) -> int:
        """Make the kernel hold what it should; return how many things that changed.

        What is known to be lacking comes first: an audit reads all of the table, and nobody waits
        for that. Only what an audit had to read is verified after a change: else each audit would
        read all of it for the change that it comes with, and delay the next.
        """
        known = self._generation is not None
        changed = await self._change() if known else 0
        if (not known or self._audits.due()) and await self._audit():
            repaired = await self._change()
            if repaired:
                await self._verify()
            changed += repaired
        return changed

    async def _change(self) -> int:
        texts, changed = self._kept.transactions()
        if texts:
            await self._make(texts)
            self._kept.took()
            self._others.made(len(texts))
        return changed

    async def _make(self, texts: tuple[str, ...]) -> None:
        """Make transactions: a single one over netlink, if that has the words for it."""
        moves = self._kept.moves() if len(texts) == 1 else None
        batch = nft_batch.encode(self._kept.table, moves) if moves is not None else None
        if batch is not None:
            await batches.make(batch, self._told)
            return
        for text in texts:
            await commands.run("nft", "-f", "-", stdin=text, timeout_s=LOADING_S)

    async def run(self, transaction: str) -> None:
        """Run a transaction about what packets wrote into the table; nothing where it is empty."""
        if transaction:
            await commands.run("nft", "-f", "-", stdin=transaction, timeout_s=LOADING_S)
            self._others.made(1)

    async def _audit(self) -> bool:
        """Tell whether the table had to be read."""
        with self._audits.running():
            return await self._read_back()

    async def _verify(self) -> None:
        """Read back a table that differed from what it was known to hold."""
        self._generation = None
        await self._read_back()
        texts, changed = self._kept.transactions()
        if texts:
            raise errors.Unavailable(
                f"table {self._kept.table.name} differs in {changed} places after a transaction "
                f"that the kernel took; the first: {texts[0].partition(chr(10))[0][:200]}"
            )

    async def _read_back(self) -> bool:
        """Take what the kernel holds, unless it counted no transaction but ours since."""
        generation = self._others.count()
        if generation == self._generation:
            return False
        self._kept.read_back(await listing.read(self._kept.table))
        self._generation = generation
        return True
