"""The counter of what was refused beyond limits, as the kernel is asked for it and tells it. Pure.

Source: linux/netfilter/nf_tables.h.
"""

from lbctl_dataplane.rules.nft import layout
from lbctl_dataplane.rules.tables import netlink

_TABLE, _NAME, _KIND, _CONTENT = 1, 2, 3, 4
_COUNTER = (1).to_bytes(4)
_PACKETS = 2


def question(table: str) -> bytes:
    """Return what asks for the counter of one of our tables of family `inet`."""
    wanted = (
        netlink.text_attribute(_TABLE, table),
        netlink.text_attribute(_NAME, layout.OVER),
        netlink.attribute(_KIND, _COUNTER),
    )
    return netlink.request(netlink.GET_OBJECT, *wanted, whole=False)


def parse(answer: bytes) -> int | None:
    """Return how many packets were counted; None where the answer is another."""
    for message in netlink.messages(answer):
        if message.kind == netlink.NEW_OBJECT:
            content = dict(netlink.attributes(message.body)).get(_CONTENT, b"")
            return int.from_bytes(dict(netlink.attributes(content)).get(_PACKETS, b""))
    return None
