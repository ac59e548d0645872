"""Views by who serves what, relays for members of others included; a view costs what changed. Pure.

Routers, peers and relays make the same of one view: who weighs agrees with who serves.
"""

from collections.abc import Mapping
from dataclasses import replace

from lbctl.translate import remote
from lbctl.translate.remote import Crew, Hosts
from lbctl_dataplane.decisions import Behind, View
from lbctl_dataplane.rules.router.legs import ServingNode

NOWHERE: Hosts = {}


class Placing:
    """What each view becomes. What did not change stays the same object."""

    def __init__(self) -> None:
        self._made_of: tuple[Crew, Hosts] = (remote.NOBODY, NOWHERE)
        self._made: dict[str, tuple[Behind, Behind]] = {}
        """By key: what was given, and what was made of it."""

    def of(self, view: View, nodes: Mapping[str, ServingNode], hosts: Hosts = NOWHERE) -> View:
        """Return a view in which relays have what nobody serves on its own node."""
        made_of = (remote.crew_of(nodes), hosts)
        same = made_of == self._made_of
        self._made_of = made_of
        if not made_of[0].relays:
            self._made = {}
            return view
        self._made = {key: self._one(key, given, same) for key, given in view.behind.items()}
        return replace(view, behind={key: made for key, (_, made) in self._made.items()})

    def _one(self, key: str, given: Behind, same: bool) -> tuple[Behind, Behind]:
        known = self._made.get(key)
        if known is not None and same and known[0] is given:
            return known
        crew, hosts = self._made_of
        made = replace(
            given,
            endpoints=remote.spread(given.endpoints, crew, hosts),
            versions=remote.versions(given.versions, crew),
        )
        return given, known[1] if known is not None and known[1] == made else made
