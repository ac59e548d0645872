"""Make transactions about nftables by telling the kernel itself."""

import asyncio

from lbctl.model import errors
from lbctl_dataplane.backends.tables import netfilter
from lbctl_dataplane.backends.tables.netfilter import Netfilter


async def make(transaction: bytes, told: Netfilter) -> None:
    """Make one transaction. Raises Unavailable where the kernel refuses it: nothing has changed.

    In a thread, as it waits for everybody else's transactions.
    """
    try:
        # Opened here, it is of this network namespace, whichever one a thread began in.
        await asyncio.to_thread(netfilter.change, told.open(), transaction)
    except OSError as error:
        raise errors.Unavailable(
            f"nftables refused a change: {error.strerror or error}; "
            "does the agent have CAP_NET_ADMIN, and does nobody else edit its tables?"
        ) from error
