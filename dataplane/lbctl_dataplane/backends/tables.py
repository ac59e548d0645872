"""Nftables tables of ours, as nft prints them."""

from lbctl.model import errors
from lbctl_dataplane.backends import commands


async def listing(table: str, *options: str, timeout_s: float = commands.TIMEOUT_S) -> str:
    """Return a table, such as `inet lbctl`, as nft prints it; empty where there is none.

    Raises Unavailable. Whether it is there is not asked first: to tell the names of tables nft
    1.0.6 loads the elements of all of them.
    """
    try:
        wanted = ("list", "table", *table.split())
        return await commands.run("nft", *options, *wanted, timeout_s=timeout_s)
    except errors.Unavailable:
        if f"table {table}\n" in await _names(table.split(maxsplit=1)[0], timeout_s):
            raise
        return ""


async def _names(family: str, timeout_s: float) -> str:
    try:
        return await commands.run("nft", "list", "tables", family, timeout_s=timeout_s)
    except errors.Unavailable as error:
        raise errors.Unavailable(f"no nftables: {error}; load nf_tables") from error
