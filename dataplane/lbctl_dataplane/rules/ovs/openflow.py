"""OpenFlow flows and groups as values, in the exact text that `ovs-ofctl` prints. Pure.

Desired and observed compare as text, so what we write is what a dump of Open vSwitch shows; the
contract test proves it on the real switch.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from lbctl import delta
from lbctl_dataplane.rules import constants


@dataclass(frozen=True, slots=True)
class FlowKey:
    """What makes a flow one and the same: table, priority and match."""

    table: int
    priority: int
    match: str
    """Comma-separated in the order of a dump; empty matches everything."""

    def text(self) -> str:
        """Return it as `ovs-ofctl` takes and prints it."""
        rest = f",{self.match}" if self.match else ""
        return f"table={self.table},priority={self.priority}{rest}"


@dataclass(frozen=True, slots=True)
class Tables:
    """All flows and groups of ours in one switch."""

    flows: Mapping[FlowKey, str] = field(default_factory=dict)
    """Actions by key."""
    groups: Mapping[int, str] = field(default_factory=dict)
    """Type, selection and buckets by group number."""
    meters: Mapping[int, str] = field(default_factory=dict)
    """Flags and bands by meter number."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What turns one `Tables` into another."""

    flows: delta.Delta[FlowKey, str]
    groups: delta.Delta[int, str]
    known_groups: frozenset[int]
    """Groups that exist already: these are modified, others added."""
    meters: delta.Delta[int, str]
    known_meters: frozenset[int]
    """The same of meters."""

    def __len__(self) -> int:
        """Return the number of single changes."""
        changes = (self.flows, self.groups, self.meters)
        return sum(len(change.upserts) + len(change.deletes) for change in changes)


def render_bundle(wanted: Changes) -> str:
    """Return the lines of one `ovs-ofctl bundle`, which the switch applies as a whole.

    Groups come before the flows that use them and go after them: deleting a group deletes the
    flows that refer to it (OpenFlow 1.5 §6.7).
    """
    lines: list[str] = []
    for number, body in sorted(wanted.groups.upserts.items()):
        verb = "modify" if number in wanted.known_groups else "add"
        lines.append(f"group {verb} group_id={number},{body}")
    for key, actions in wanted.flows.upserts.items():
        lines.append(f"flow add cookie={constants.COOKIE:#x},{key.text()},actions={actions}")
    lines += [f"flow delete_strict {key.text()}" for key in _stable(wanted.flows.deletes)]
    lines += [f"group delete group_id={number}" for number in sorted(wanted.groups.deletes)]
    return "\n".join(lines) + "\n" if lines else ""


def render_meters(wanted: Changes) -> Iterator[tuple[str, str]]:
    """Yield command and argument of `ovs-ofctl` for each meter to make or change."""
    for number, body in sorted(wanted.meters.upserts.items()):
        verb = "mod-meter" if number in wanted.known_meters else "add-meter"
        yield verb, f"meter={number},{body}"


def _stable(keys: Iterable[FlowKey]) -> list[FlowKey]:
    return sorted(keys, key=lambda key: (key.table, key.priority, key.match))


def example(wanted: Changes) -> str:
    """Return one of the changes, for a message."""
    lines = render_bundle(wanted).splitlines()
    meters = [" ".join(command) for command in render_meters(wanted)]
    gone = [f"del-meter meter={number}" for number in sorted(wanted.meters.deletes)]
    return next(iter([*lines, *meters, *gone]), "")


_FLOW = re.compile(
    r"^ *cookie=0x[0-9a-f]+, (?:table=(\d+), )?(?:priority=(\d+),?)?(.*?) ?actions=(.*)$"
)
_GROUP = re.compile(r"^ *group_id=(\d+),(.*)$")
_MOST_METERS = re.compile(r"max_meter:(\d+)")
_METER = re.compile(r"^ *meter=(\d+) (.*) bands=\n((?:type=.*\n?)*)", re.MULTILINE)


def parse(flows: str, groups: str, meters: str) -> Tables:
    """Return what is there of ours, from what `ovs-ofctl` prints of each."""
    return Tables(parse_flows(flows), parse_groups(groups), parse_meters(meters))


def parse_flows(dump: str) -> dict[FlowKey, str]:
    """Return the flows of `ovs-ofctl --no-names --no-stats dump-flows`."""
    found: dict[FlowKey, str] = {}
    for line in dump.splitlines():
        match = _FLOW.match(line)
        if match:
            table, priority, fields, actions = match.groups()
            found[FlowKey(int(table or 0), int(priority or 32768), fields)] = actions
    return found


def parse_groups(dump: str) -> dict[int, str]:
    """Return the groups of ours in `ovs-ofctl --no-names dump-groups`."""
    matches = (_GROUP.match(line) for line in dump.splitlines())
    numbered = ((int(match[1]), match[2]) for match in matches if match)
    first, end = constants.PEER_GROUP_PREFIX, constants.GROUP_PREFIX + constants.GROUP_SPACE
    return {number: body for number, body in numbered if first <= number < end}


def has_meters(features: str) -> bool:
    """Tell whether a switch has our numbers, from what `ovs-ofctl meter-features` prints."""
    most = _MOST_METERS.search(features)
    return most is not None and int(most[1]) >= constants.METER_FIRST + constants.METER_SPACE


def parse_meters(dump: str) -> dict[int, str]:
    """Return the meters of ours in `ovs-ofctl dump-meters`, in the words that make them."""
    first, end = constants.METER_FIRST, constants.METER_FIRST + constants.METER_SPACE
    return {
        int(number): ",".join((*flags.split(), *(f"band={band}" for band in _bands(bands))))
        for number, flags, bands in _METER.findall(dump)
        if first <= int(number) < end
    }


def _bands(lines: str) -> Iterator[str]:
    return (",".join(line.split()) for line in lines.splitlines())
