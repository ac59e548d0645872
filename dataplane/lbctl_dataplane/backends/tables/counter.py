"""How many connections limits have refused on a node; asked when somebody wants to know.

A question costs some ten microseconds, and nothing is kept: the kernel counts.
"""

import socket
from collections.abc import Mapping
from types import MappingProxyType

from lbctl_dataplane.backends import choice
from lbctl_dataplane.rules import constants
from lbctl_dataplane.rules.tables import counter

TABLES = MappingProxyType({choice.NFT: constants.NODE_TABLE, choice.IPVS: constants.IPVS_TABLE})
"""The table that counts, by the backends that have limits."""
_NETFILTER = 12
_LONGEST = 8192
"""Bytes of an answer: it is a message of about a hundred."""


def refused(backend: str) -> Mapping[str, int]:
    """Return the count by backend; empty where it has no limits, or no table yet.

    It begins anew when the table does: at the first start of the agent, and after damage.
    """
    table = TABLES.get(backend)
    count = None if table is None else _count(table)
    return {} if count is None else {backend: count}


def _count(table: str) -> int | None:
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER) as kernel:
            kernel.send(counter.question(table))
            return counter.parse(kernel.recv(_LONGEST))
    except OSError:  # without nftables nothing is refused; the next pass says what is wrong
        return None
