"""Decisions as they come and go become changes of what is answered. Pure."""

from lbctl_dns import contents, decisions, names, zone


class Publications:
    """Turns decisions, as they come and go, into changes of an Authority.

    An object deleted while it was live is doubt (design decision 3): its names stay until it
    comes back, or another object takes one of its addresses or names.
    """

    def __init__(self, authority: zone.Authority, style: contents.Style = contents.PLAIN) -> None:
        self.authority = authority
        self.style = style
        self._known: dict[str, decisions.Decision] = {}
        self._held: dict[str, decisions.Decision] = {}

    def moved(self, authority: zone.Authority, style: contents.Style) -> "Publications":
        """Return the same decisions, doubtful ones included, published in other zones."""
        other = Publications(authority, style)
        other._known, other._held = dict(self._known), dict(self._held)
        for owner, decision in (*self._known.items(), *self._held.items()):
            authority.publish(owner, other._claim(decision))
        return other

    def outside(self) -> tuple[str, ...]:
        """Return the live published hosts that no zone of ours holds, for people; sorted."""
        live = (one for one in (*self._known.values(), *self._held.values()) if one.live)
        return tuple(sorted({host for one in live for host in outside(self.authority, one)}))

    @property
    def held(self) -> tuple[str, ...]:
        """Return the owners whose objects are gone and whose names stay."""
        return tuple(sorted(self._held))

    def decided(self, owner: str, decision: decisions.Decision) -> zone.Change:
        """Take the present decision about one owner; return what that changes in answers."""
        before = self._known.get(owner)
        self._known[owner] = decision
        self._held.pop(owner, None)
        changes = [self._drop(other) for other in self._must_yield(before, decision)]
        changes.append(self.authority.publish(owner, self._claim(decision)))
        return zone.merged(changes)

    def deleted(self, owner: str) -> zone.Change:
        """Take the news that an object is gone."""
        last = self._known.pop(owner, None)
        if last is None:
            return zone.Change()
        if last.live and self._claim(last) is not None:
            self._held[owner] = last
            return zone.Change()
        return self.authority.publish(owner, None)

    def let_go(self, owner: str) -> zone.Change:
        """Drop the names of an object that is still gone; nothing happens when it came back."""
        return self._drop(owner) if owner in self._held else zone.Change()

    def _must_yield(self, before: decisions.Decision | None, now: decisions.Decision) -> list[str]:
        if not now.live:
            return []
        new_vips = now.vips - (before.vips if before and before.live else frozenset())
        hosts = {host.name for host in now.hosts}
        return [
            owner
            for owner, held in self._held.items()
            if _contend(held.vips, new_vips) or hosts & {host.name for host in held.hosts}
        ]

    def _drop(self, owner: str) -> zone.Change:
        del self._held[owner]
        return self.authority.publish(owner, None)

    def _claim(self, decision: decisions.Decision) -> zone.Claim | None:
        if not decision.live:
            return None
        sets = tuple(
            one
            for one in contents.record_sets(decision, self.style)
            if self.authority.zone_of(one.name) is not None
        )
        return zone.Claim(decision.rank, sets) if sets else None


def _contend(held: frozenset[tuple[str, str]], new: frozenset[tuple[str, str]]) -> bool:
    """Tell whether an address was given anew; two under one IPAllocation share it on purpose."""
    return any(
        address == other and (not grant or grant != its)
        for address, grant in held
        for other, its in new
    )


def outside(authority: zone.Authority, decision: decisions.Decision) -> tuple[str, ...]:
    """Return the published hosts that no zone of ours holds, for people."""
    return tuple(
        names.to_text(host.name) for host in decision.hosts if authority.zone_of(host.name) is None
    )
