"""Replicas of the feed: whatever reaches them when, secondaries get one content for one serial."""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import nameserver_builders as nb
from lbctl.model.zones import Digests
from lbctl_dns import access, feed, journal, keeping, names, primary, snapshot, zone

PLAN = primary.Plan(access.checked([], [access.rule("127.0.0.1")]), ())
ORIGINS = ("lb.example", "in.lb.example", "0.18.198.in-addr.arpa")
ZONES = tuple(zone.Zone(names.to_wire(one), nb.SOA, ()) for one in ORIGINS)
Event = tuple[str, nb.Object]
Given = dict[tuple[bytes, int], frozenset[bytes]]


class Api:
    """Everything that ever happened to decisions and Zone objects, each as its watch tells it."""

    def __init__(self) -> None:
        self.decisions: list[Event] = []
        self.zones: list[Event] = []
        self._digests = Digests(ORIGINS)
        self._version = 0
        self._serial = 1000
        self.lead()

    def decide(self, service: str, vip: int, fate: str) -> None:
        hosts = (f"{service}.lb.example", f"{service}.in.lb.example")
        phase = "Withdrawn" if fate == "withdrawn" else "Serving"
        one = nb.decision(service, f"198.18.0.{vip}", hosts=hosts[vip % 2 :], phase=phase)
        name = one["metadata"]["name"]
        self._digests.put(name, None if fate == "deleted" else one)
        self._record(self.decisions, "DELETED" if fate == "deleted" else "MODIFIED", one)

    def lead(self) -> None:
        """Write Zone objects as the leader does."""
        self._serial += 1
        for origin in ORIGINS:
            spec = {"serial": self._serial, "digest": self._digests.of(origin)}
            last = [one for _, one in self.zones if one["metadata"]["name"] == origin]
            if not last or last[-1]["spec"]["digest"] != spec["digest"]:
                self._record(self.zones, "MODIFIED", {"metadata": {"name": origin}, "spec": spec})

    def _record(self, events: list[Event], kind: str, obj: nb.Object) -> None:
        self._version += 1
        obj["metadata"]["resourceVersion"] = str(self._version)
        events.append((kind, obj))


def state(events: list[Event]) -> list[nb.Object]:
    """Return what a list gives after these events."""
    found = {obj["metadata"]["name"]: (kind, obj) for kind, obj in events}
    return [obj for kind, obj in found.values() if kind != "DELETED"]


class Replica:
    """One name server; how far it has followed both watches."""

    def __init__(self, api: Api, folder: Path) -> None:
        self._api = api
        self._path = snapshot.path_in(folder)
        self._seen = {"decisions": 0, "zones": len(ORIGINS)}
        self.feed = feed.ClusterFeed(ZONES, None, PLAN)

    async def start(self) -> None:
        self.feed = feed.ClusterFeed(ZONES, self._path, PLAN)
        for kind in self._seen:
            self._list(kind)
        await self.feed.first_sync()

    async def act(self, action: str, kind: str, further: int) -> None:
        events = getattr(self._api, kind)
        if action == "save":
            keeping.write(self._path, self.feed.state())
        elif action == "events":
            for event in events[self._seen[kind] : self._seen[kind] + further]:
                self._store(kind).apply(*event)
                self._seen[kind] += 1
        elif action == "list":
            self._seen[kind] = min(len(events), self._seen[kind] + further)
            self._list(kind)
        elif action == "restart":
            self._seen[kind] = min(len(events), self._seen[kind] + further)
            await self.start()

    def follow(self) -> None:
        """Take all that is left."""
        for kind in self._seen:
            for event in getattr(self._api, kind)[self._seen[kind] :]:
                self._store(kind).apply(*event)

    def _store(self, kind: str) -> Any:
        return self.feed.cache if kind == "decisions" else self.feed.zone_objects

    def _list(self, kind: str) -> None:
        events = getattr(self._api, kind)[: self._seen[kind]]
        last = int(events[-1][1]["metadata"]["resourceVersion"]) if events else 0
        self._store(kind).replace(state(events), last)


class Secondary:
    """Keeps the zones that it takes from whichever replica it asks."""

    def __init__(self) -> None:
        self.zones: dict[bytes, tuple[int, set[bytes]]] = {}

    def ask(self, library: journal.Library) -> None:
        for origin, history in library.zones.items():
            if origin not in self.zones:
                self.zones[origin] = history.serial, set(history.full())
                continue
            serial, held = self.zones[origin]
            if journal.is_later(history.serial, serial):
                form, answer = history.since(serial)
                steps = form is journal.Form.STEPS
                after = patched(held, list(answer), origin) if steps else set(answer)
                self.zones[origin] = history.serial, after


def patched(before: set[bytes], answer: list[bytes], origin: bytes) -> set[bytes]:
    """Apply an IXFR, strictly: what goes is there, what comes is not."""
    after = set(before)
    adding = True
    for record in answer[1:-1]:
        if record.startswith(origin + b"\0\x06"):
            adding = not adding
        assert (record in after) != adding
        (after.add if adding else after.remove)(record)
    return after


HAPPENS = st.tuples(
    st.sampled_from("ab"),
    st.integers(1, 3),
    st.sampled_from(["", "", "", "withdrawn", "deleted"]),
    st.booleans(),
)
ACTS = st.tuples(
    st.integers(0, 1),
    st.sampled_from(["events", "events", "events", "list", "save", "restart", "ask"]),
    st.sampled_from(["decisions", "zones"]),
    st.integers(1, 4),
)


def given_by(replica: Replica) -> Iterator[tuple[tuple[bytes, int], frozenset[bytes]]]:
    for origin, history in replica.feed.primary.library.zones.items():
        yield (origin, history.serial), frozenset(history.full())


async def scenario(api: Api, acts: list[tuple[int, str, str, int]], folder: Path) -> None:
    replicas = [Replica(api, folder / str(number)) for number in range(2)]
    known: Given = {}
    secondary = Secondary()
    for one in replicas:
        await one.start()
    for number, action, kind, further in acts:
        if action == "ask":
            secondary.ask(replicas[number].feed.primary.library)
        else:
            await replicas[number].act(action, kind, further)
        for one in replicas:
            for key, content in given_by(one):
                assert known.setdefault(key, content) == content
        for origin, (serial, held) in secondary.zones.items():
            assert known[origin, serial] == held
    for one in replicas:
        one.follow()
        held = one.feed.held_count
        # Where nothing is in doubt, what secondaries may take is all that is answered.
        assert held or dict(given_by(one)).keys() == {
            (names.to_wire(obj["metadata"]["name"]), obj["spec"]["serial"])
            for obj in state(api.zones)
        }


@given(
    happens=st.lists(HAPPENS, min_size=3, max_size=10),
    acts=st.lists(ACTS, min_size=10, max_size=40),
)
def test_a_serial_means_one_content_whichever_replica_gives_it(
    happens: list[tuple[str, int, str, bool]], acts: list[tuple[int, str, str, int]]
) -> None:
    api = Api()
    for service, vip, fate, leads in happens:
        api.decide(service, vip, fate)
        if leads:
            api.lead()
    api.lead()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(scenario(api, acts, Path(folder)))
