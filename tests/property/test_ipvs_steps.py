"""Any change of IPVS reaches what is wanted, and on its way refuses nobody who has members."""

import json
from collections.abc import Hashable, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import dataplane_builders as build
from lbctl_dataplane.rules import pod_routes
from lbctl_dataplane.rules.frontend import Frontend, Member, Place
from lbctl_dataplane.rules.ipvs import balancer
from lbctl_dataplane.rules.ipvs.balancer import RealServer, Step, VirtualServer
from lbctl_dataplane.rules.ipvs.compiler import IpvsCompiler

PLACES = [build.place(port=port) for port in (80, 81)]
ALL = [{"dst": "default", "dev": "cni0"}]
ROUTES = pod_routes.parse({4: json.dumps(ALL), 6: ""}, ())


@st.composite
def frontends(draw: st.DrawFn) -> tuple[Frontend, ...]:
    """At most one for each place, with members that get connections and ones that linger."""
    made = []
    for place in draw(st.sets(st.sampled_from(PLACES))):
        numbers = draw(st.dictionaries(st.integers(1, 4), st.integers(0, 3)))
        pods = {n: Member(build.ip(f"10.0.0.{n}"), 8080, weight) for n, weight in numbers.items()}
        made.append(
            Frontend(
                "default.kuard",
                place,
                tuple(pod for pod in pods.values() if pod.weight),
                tuple(Member(pod.address, pod.port) for pod in pods.values() if not pod.weight),
                affinity=draw(st.booleans()),
            )
        )
    return tuple(made)


class Kernel:
    """Takes commands as IPVS does, and refuses what it would refuse."""

    def __init__(self) -> None:
        self.servers: dict[Place, VirtualServer] = {}
        self.members: dict[RealServer, int] = {}

    def run(self, step: Step) -> None:
        if step.member is not None:
            assert step.place in self.servers
            self._change(self.members, step.member, step.verb, step.weight)
            return
        assert step.server is not None
        self._change(self.servers, step.place, step.verb, step.server)
        if step.verb == "del":
            kept = {real: w for real, w in self.members.items() if real.place != step.place}
            self.members = kept

    @staticmethod
    def _change(held: dict[Any, Any], key: Hashable, verb: str, value: object) -> None:
        assert (key in held) == (verb != "add")
        if verb == "del":
            del held[key]
        else:
            held[key] = value

    def serving(self) -> set[Place]:
        return {real.place for real, weight in self.members.items() if weight}


@given(st.lists(frontends(), min_size=1, max_size=5))
def test_every_pass_ends_as_wanted_and_refuses_nobody_meanwhile(
    passes: Sequence[tuple[Frontend, ...]],
) -> None:
    compiler, kernel = IpvsCompiler(), Kernel()
    for wanted in passes:
        before = kernel.serving()
        compiler.update(wanted, ROUTES, frozenset())
        change = compiler.changes()
        after = {entry.place for entry in wanted if entry.members}
        for step in balancer.steps(change.servers):
            kernel.run(step)
            assert kernel.serving() >= before & after
        compiler.took(change)
        assert kernel.servers == compiler.desired.servers
        assert kernel.members == compiler.desired.members
        assert kernel.serving() == after
