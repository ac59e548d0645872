"""Who answers where, by views that follow each other; a view costs what changed in it. Pure."""

from collections.abc import Iterable, Sequence

from lbctl.model.virtual_service import VirtualService
from lbctl_dataplane.rules import frontend
from lbctl_dataplane.rules.frontend import Claim, Place


class Claimants:
    """The claims of all virtual services, and which of them win; see `frontend.claims`."""

    def __init__(self) -> None:
        self._given: Sequence[VirtualService] = ()
        self._services: dict[int, VirtualService] = {}
        """By identity: a virtual service that is the same object has not changed."""
        self._claims: dict[str, tuple[Claim, ...]] = {}
        self._at: dict[Place, list[Claim]] = {}

    def update(self, services: Sequence[VirtualService]) -> set[str]:
        """Take a view; return the keys whose winning claims may be others now, or gone."""
        if services is self._given:
            return set()
        self._given = services
        now = {id(service): service for service in services}
        gone = [self._services[known] for known in self._services.keys() - now.keys()]
        new = [now[fresh] for fresh in now.keys() - self._services.keys()]
        self._services = now
        places = {claim.place for service in gone for claim in self._claims[service.key]}
        touched = {service.key for service in (*gone, *new)} | self._sharing(places)
        for service in gone:
            self._drop(service.key)
        for service in new:
            self._put(service)
        places = {claim.place for service in new for claim in self._claims[service.key]}
        return touched | self._sharing(places)

    def of(self, key: str) -> tuple[Claim, ...]:
        """Return the claims of a virtual service that win, in the order of its VIPs."""
        return tuple(
            claim
            for claim in self._claims.get(key, ())
            if frontend.winner(self._at[claim.place]) is claim
        )

    def _sharing(self, places: Iterable[Place]) -> set[str]:
        return {claim.service.key for place in places for claim in self._at[place]}

    def _drop(self, key: str) -> None:
        for claim in self._claims.pop(key):
            left = [other for other in self._at.pop(claim.place) if other is not claim]
            if left:
                self._at[claim.place] = left

    def _put(self, service: VirtualService) -> None:
        claims = frontend.wishes(service)
        self._claims[service.key] = claims
        for claim in claims:
            self._at.setdefault(claim.place, []).append(claim)
