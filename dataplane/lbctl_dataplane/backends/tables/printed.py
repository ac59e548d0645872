"""Nftables tables of ours, as nft prints them."""

from lbctl.model import errors
from lbctl_dataplane.backends import commands


async def listing(table: str, *options: str) -> str:
    """Return a table, such as `inet lbctl`, as nft prints it; empty where there is none.

    Raises Unavailable. Whether it is there is not asked first: to tell the names of tables nft
    1.0.6 loads the elements of all of them.
    """
    try:
        wanted = ("list", "table", *table.split())
        return await commands.run("nft", *options, *wanted)
    except errors.Unavailable:
        if f"table {table}\n" in await _names(table.split(maxsplit=1)[0]):
            raise
        return ""


async def _names(family: str) -> str:
    try:
        return await commands.run("nft", "list", "tables", family)
    except errors.Unavailable as error:
        raise errors.Unavailable(f"no nftables: {error}; load nf_tables") from error
