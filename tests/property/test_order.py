"""Whatever users do, in whatever order steps, crashes and acknowledgements come."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import builders
from lbctl.ipam.ranges import parse_pool
from lbctl.model.virtual_service import Phase
from world import World

NAMES = st.sampled_from(["kuard", "nginx", "redis"])
# Fewer addresses than Services can want: exhaustion and reuse happen all the time.
TINY = parse_pool("tiny", ["192.0.2.1-192.0.2.2", "2001:db8::1-2001:db8::2"])


class Cluster(RuleBasedStateMachine):
    """Users, Kubernetes, the controller and agents take turns; any step may be the last one."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(TINY)

    @rule(name=NAMES, families=st.sampled_from([("IPv4",), ("IPv6",), ("IPv4", "IPv6")]))
    def create(self, name: str, families: tuple[str, ...]) -> None:
        self.world.create(name, families)

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        self.world.delete(name)

    @rule(name=NAMES, kind=st.sampled_from(["ClusterIP", "LoadBalancer"]))
    def retype(self, name: str, kind: str) -> None:
        self.world.retype(name, kind)

    @rule(name=NAMES, ready=st.integers(0, 3))
    def scale(self, name: str, ready: int) -> None:
        self.world.scale(name, ready)

    @rule(name=NAMES, choice=st.integers(0, 5))
    def one_step(self, name: str, choice: int) -> None:
        # One step of a plan only: the controller may die between any two.
        todo = self.world.plan(name).steps
        if todo:
            self.world.do(todo[choice % len(todo)])

    @rule(name=NAMES)
    def stray(self, name: str) -> None:
        self.world.stray(name)

    @rule(index=st.integers(0, 2))
    def acknowledge(self, index: int) -> None:
        self.world.acknowledge(index)

    @rule(seconds=st.sampled_from([1, 6, 11]))
    def time_passes(self, seconds: int) -> None:
        self.world.advance(seconds)

    @invariant()
    def no_address_is_served_for_two_services(self) -> None:
        assert all(len(keys) == 1 for keys in self.world.served().values())

    @invariant()
    def what_is_served_is_allocated(self) -> None:
        held = {entry.address: entry.holder.key for entry in self.world.allocations.values()}
        for address, keys in self.world.served().items():
            assert {held.get(address)} == keys

    @invariant()
    def no_name_is_published_for_a_service_that_is_going(self) -> None:
        for found in self.world.decisions.values():
            if found.virtual_service.phase is not Phase.SERVING:
                assert not any(name.published for name in found.virtual_service.names)

    def teardown(self) -> None:
        self.world.settle()
        for name, obj in self.world.services.items():
            ours = obj["spec"]["type"] == "LoadBalancer"
            assert "deletionTimestamp" not in obj["metadata"]
            assert ours or "finalizers" not in obj["metadata"]
            assert ours or f"default.{name}" not in self.world.decisions
        held = [
            (entry.holder.uid, entry.address.version) for entry in self.world.allocations.values()
        ]
        assert len(held) == len(set(held))
        live = {obj["metadata"]["uid"] for obj in self.world.services.values()}
        assert {entry.holder.uid for entry in self.world.allocations.values()} <= live


Cluster.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestCluster = Cluster.TestCase


def test_a_service_is_born_scaled_and_deleted_and_nothing_stays() -> None:
    world = World(builders.POOL)
    world.create("kuard", ("IPv4", "IPv6"))
    world.scale("kuard", 2)
    world.settle()
    shown = world.services["kuard"]["status"]["loadBalancer"]["ingress"]
    assert shown == [{"ip": "192.0.2.1"}, {"ip": "2001:db8::1"}]
    assert world.decisions["default.kuard"].status.state == "Up"
    world.delete("kuard")
    world.settle()
    assert not world.services
    assert not world.decisions
    assert not world.allocations
    assert not any(agent.programmed for agent in world.agents)
