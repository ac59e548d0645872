"""The meters of a switch, which are changed one by one: a bundle takes flows and groups alone."""

import logging

from lbctl_dataplane.backends import commands
from lbctl_dataplane.rules.ovs import openflow

log = logging.getLogger(__name__)

_OFCTL = ("ovs-ofctl", "-O", "OpenFlow15")


class Meters:
    """Those of one bridge, if its datapath has any."""

    def __init__(self, bridge: str) -> None:
        self._bridge = bridge
        self._asked = False
        self.able = True
        """The datapath has meters with our numbers; taken for granted until it was asked."""

    def distrust(self) -> None:
        """Let the switch be asked again: it may be another one."""
        self._asked = False

    async def look(self) -> bool:
        """Ask what the switch can; tell whether it is other than thought. Raises Unavailable."""
        if self._asked:
            return False
        able = openflow.has_meters(await commands.run(*_OFCTL, "meter-features", self._bridge))
        self._asked, before, self.able = True, self.able, able
        if before and not able:
            log.warning(
                "bridge %s has no meters: limits.connectionsPerSecond does not hold on this node; "
                "the userspace datapath has them, and Linux 4.15 and later",
                self._bridge,
            )
        return before != able

    async def observe(self) -> str:
        """Return what `ovs-ofctl dump-meters` prints. Raises Unavailable."""
        if not self.able:
            return ""
        return await commands.run(*_OFCTL, "dump-meters", self._bridge)

    async def before(self, wanted: openflow.Changes) -> None:
        """Make and change meters, before flows that lead to them. Raises Unavailable."""
        for verb, meter in openflow.render_meters(wanted):
            await commands.run(*_OFCTL, verb, self._bridge, meter)

    async def after(self, wanted: openflow.Changes) -> None:
        """Delete meters once no flow leads there: what does goes with them. Raises Unavailable."""
        for number in sorted(wanted.meters.deletes):
            await commands.run(*_OFCTL, "del-meter", self._bridge, f"meter={number}")
