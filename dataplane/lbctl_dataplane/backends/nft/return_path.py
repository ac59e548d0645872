"""The kernel's routes and rules by which a node's answers go back: read them, change them."""

from collections.abc import Sequence

from lbctl import delta
from lbctl.model import errors
from lbctl.model.virtual_service import Address
from lbctl_dataplane.backends import commands
from lbctl_dataplane.rules.nft import return_path

VERSIONS = (4, 6)


class ReturnPath:
    """Owns routing table 7000 with the rules that lead there."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._known: return_path.Entries | None = None

    @property
    def known(self) -> bool:
        """Tell whether it was read, and nobody may have changed it since."""
        return self._known is not None

    def distrust(self) -> None:
        """Read everything back the next time: it may have changed."""
        self._known = None

    async def keep(self, gateways: Sequence[Address]) -> int:
        """Let answers go to gateways, and to nobody where there is none; return what it changed.

        Raises Unavailable where the kernel does not take it.
        """
        wanted = return_path.wanted(gateways, self._device)
        if self._known == wanted:
            return 0
        found = await _observed() if self._known is None else self._known
        self._known = None
        change = delta.diff(wanted, found)
        for version in VERSIONS:
            lines = return_path.render(change, found, version)
            if lines:
                await self._run(version, lines)
        self._known = wanted
        return len(change.upserts) + len(change.deletes)

    async def _run(self, version: int, lines: str) -> None:
        try:
            await commands.run("ip", f"-{version}", "-batch", "-", stdin=lines)
        except errors.Unavailable as error:
            raise errors.Unavailable(
                f"no way back by {self._device}: {error}; is it up, and does the kernel have "
                "policy routing (CONFIG_IP_MULTIPLE_TABLES)?"
            ) from error


async def _observed() -> return_path.Entries:
    found: dict[return_path.Entry, str] = {}
    for version in VERSIONS:
        listed = [
            await commands.run("ip", f"-{version}", "-j", *words) for words in return_path.LISTINGS
        ]
        found |= return_path.parse(version, *listed)
    return found
