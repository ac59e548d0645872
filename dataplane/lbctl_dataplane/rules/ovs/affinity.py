"""How the switch remembers which client has which member, and for how long. Pure.

A place that remembers clients has the number of its group in `reg1`, a member its own in `reg0`:

    connection  new, to the place: `reg1`; ─► remembered ─► members
    remembered  place . client ─► `reg0`        what members' flows learn; each has an idle timeout
    members     place . member ─► learn it; ct(commit), with the place in the connection's label
                place          ─► group ─► `reg0` ─► members
    connection  known, of a place by its label ─► remembered, which begins the time anew ─► pod

A client that is remembered with a member which has no flow any more goes on to the group, and what
it gets there is learned instead. So nobody is sent to a member that left. When the flow of a member
goes the switch forgets by itself who had it (`delete_learned`), so the agent never reads or writes
what is remembered. Source: ovs-actions(7), `learn`.
"""

from collections.abc import Iterator, Mapping

from lbctl_dataplane.rules import constants, place_numbers
from lbctl_dataplane.rules.frontend import Frontend
from lbctl_dataplane.rules.ovs.openflow import FlowKey

LIMIT = 4096
"""Clients that are remembered with one member of a place; who is beyond goes by the hash."""
LONGEST_S = 65_535
"""An idle timeout has 16 bits (OpenFlow 1.5 §7.3.4.2)."""
_MEMBER = 0x8000_0000
"""In the number of every member. Where nobody is remembered `reg0` is 0, or 1 by peers' flows."""
_LABEL_SHIFT = 64
"""Where the place is in a connection's label, after the MAC address that it came from."""
_COOKIE_SPACE = 1 << 48


def remembers(frontend: Frontend) -> bool:
    """Tell whether a place remembers its clients."""
    return frontend.affinity and frontend.affinity_timeout_s > 0


def look_up(place: int) -> str:
    """Return what is done with a new connection to a place."""
    return (
        f"set_field:{place:#x}->reg1,resubmit(,{constants.TABLE_REMEMBERED}),"
        f"goto_table:{constants.TABLE_MEMBERS}"
    )


def choose(bucket: int) -> str:
    """Return what the bucket of a member does."""
    return f"set_field:{_MEMBER | bucket:#x}->reg0,resubmit(,{constants.TABLE_MEMBERS})"


def labelled(place: int) -> str:
    """Return the action that notes the place in a connection's label."""
    mask = 0xFFFF_FFFF << _LABEL_SHIFT
    return f"set_field:{place << _LABEL_SHIFT:#x}/{mask:#x}->ct_label"


def flows(
    frontend: Frontend, place: int, commits: Mapping[int, str]
) -> Iterator[tuple[FlowKey, str]]:
    """Yield the flows of a place; `commits` are what its members' buckets would do, by bucket."""
    yield _known()
    table, family = constants.TABLE_MEMBERS, "ip" if frontend.place.vip.version == 4 else "ipv6"
    yield FlowKey(table, constants.PRIORITY, f"reg1={place:#x}"), f"group:{place}"
    for bucket, commit in commits.items():
        match = f"{family},reg0={_MEMBER | bucket:#x},reg1={place:#x}"
        learned = _learn(frontend, place, bucket)
        yield FlowKey(table, constants.PRIORITY_NEW, match), f"{learned},{commit}"


def _known() -> tuple[FlowKey, str]:
    first, prefix = constants.GROUP_PREFIX << _LABEL_SHIFT, 0xFF00_0000 << _LABEL_SHIFT
    match = f"ct_state=-inv+trk,ct_mark={constants.CT_MARK:#x},ct_label={first:#x}/{prefix:#x}"
    place = f"NXM_NX_CT_LABEL[{_LABEL_SHIFT}..{_LABEL_SHIFT + 31}]"
    return (
        FlowKey(constants.TABLE_CONNECTION, constants.PRIORITY_REMEMBERED, match),
        f"move:{place}->NXM_NX_REG1[],resubmit(,{constants.TABLE_REMEMBERED}),"
        f"goto_table:{constants.TABLE_TO_POD}",
    )


def _learn(frontend: Frontend, place: int, bucket: int) -> str:
    timeout_s = min(frontend.affinity_timeout_s, LONGEST_S)
    cookie = constants.LEARNED_COOKIE | place_numbers.digest(f"{place} {bucket}") % _COOKIE_SPACE
    four = frontend.place.vip.version == 4
    family, client = ("0x800", "NXM_OF_IP_SRC") if four else ("0x86dd", "NXM_NX_IPV6_SRC")
    return (
        f"learn(table={constants.TABLE_REMEMBERED},idle_timeout={timeout_s},"
        f"priority={constants.PRIORITY},delete_learned,cookie={cookie:#x},limit={LIMIT},"
        f"eth_type={family},reg1={place:#x},{client}[],"
        f"load:{_MEMBER | bucket:#x}->NXM_NX_REG0[])"
    )
