"""The kernel's count of rule set changes in this network namespace (NFT_MSG_GETGEN).

Every nftables transaction of anybody raises it by one. While it stands no table has changed, and
asking costs microseconds where listing a table of thousands of elements costs a second.
"""

from collections.abc import Callable

from lbctl.model import errors
from lbctl_dataplane.backends.tables import netfilter
from lbctl_dataplane.backends.tables.netfilter import Netfilter
from lbctl_dataplane.rules.tables import netlink

_QUESTION = netlink.request(netlink.GET_GENERATION, family=netlink.FAMILY_ANY, whole=False)
_ID = 1
_WRAPS = 1 << 32


class Counter:
    """Reads the count."""

    def __init__(self) -> None:
        self._asked = Netfilter()

    def read(self) -> int:
        """Return the count. Raises Unavailable when the kernel does not tell."""
        try:
            return parse(netfilter.ask(self._asked.open(), _QUESTION))
        except OSError as error:
            raise errors.Unavailable(
                f"nftables generation: {error.strerror}; does the agent have CAP_NET_ADMIN?"
            ) from error


def parse(answer: bytes) -> int:
    """Return the count of one answer. Raises Unavailable when it is none."""
    for message in netlink.messages(answer):
        if message.kind == netlink.NEW_GENERATION:
            for attribute, value in netlink.attributes(message.body):
                if attribute == _ID:
                    return int.from_bytes(value)
    raise errors.Unavailable(f"nftables generation: the kernel answered {answer[:64].hex()}")


class Others:
    """Counts the transactions that are not of one agent, which may own several tables."""

    def __init__(self, total: Callable[[], int] | None = None) -> None:
        """Count by the kernel's own count, or by `total`."""
        self._total = total or Counter().read
        self._own = 0

    def count(self) -> int:
        """Return the kernel's count without our own. Raises Unavailable."""
        return (self._total() - self._own) % _WRAPS

    def made(self, transactions: int) -> None:
        """Take note of our own; what is not told of counts as others', which costs a reading."""
        self._own += transactions
