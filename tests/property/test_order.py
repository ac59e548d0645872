"""Whatever users do, in whatever order steps, crashes and acknowledgements come."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import builders
from lbctl.model.virtual_service import Phase, VipRole
from lbctl.translate.service import FINALIZER
from world import ASKING, HOSTS, SHARING, World

NAMES = st.sampled_from(["kuard", "nginx", "redis"])
FAMILIES = st.sampled_from([("IPv4",), ("IPv6",), ("IPv4", "IPv6")])
POLICIES = st.sampled_from(["PreferDualStack", "RequireDualStack"])
PORTS = st.sampled_from([80, 443])
ANY = 0
"""Stands for every port of an address that is not shared."""
ALGORITHM = "lbctl.io/algorithm"
# Fewer addresses than Services can want: exhaustion and reuse happen all the time.
TINY = builders.pool("tiny", "192.0.2.1-192.0.2.3", "2001:db8::1-2001:db8::2", reuse_delay_s=30)


class Cluster(RuleBasedStateMachine):
    """Users, Kubernetes, the controller and agents take turns; any step may be the last one."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(TINY)
        self.scribbled: set[str] = set()
        """Services whose status somebody else has written to."""

    @rule(
        name=NAMES,
        families=FAMILIES,
        port=PORTS,
        key=st.sampled_from(["", "", "web"]),
        policy=POLICIES,
    )
    def create(
        self, name: str, families: tuple[str, ...], port: int, key: str, policy: str
    ) -> None:
        if name not in self.world.services:
            self.scribbled.discard(name)
        self.world.create(name, families, port=port, key=key, policy=policy)

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        self.world.delete(name)

    @rule(name=NAMES, kind=st.sampled_from(["ClusterIP", "LoadBalancer"]))
    def retype(self, name: str, kind: str) -> None:
        self.world.retype(name, kind)

    @rule(name=NAMES, ready=st.integers(0, 3))
    def scale(self, name: str, ready: int) -> None:
        self.world.scale(name, ready)

    @rule(
        name=NAMES,
        address=st.sampled_from(["", "192.0.2.1", "192.0.2.2", "192.0.2.3", "203.0.113.1"]),
    )
    def ask(self, name: str, address: str) -> None:
        self.world.change(name, {}, {ASKING: address})

    @rule(name=NAMES, key=st.sampled_from(["", "web"]))
    def share(self, name: str, key: str) -> None:
        self.world.change(name, {}, {SHARING: key})

    @rule(name=NAMES, hosts=st.sampled_from(["", "www.lb.example", "b.lb.example,www.lb.example"]))
    def ask_for_names(self, name: str, hosts: str) -> None:
        self.world.change(name, {}, {HOSTS: hosts})

    @rule(name=NAMES, algorithm=st.sampled_from(["", "source-hash", "fastest"]))
    def ask_for_an_algorithm(self, name: str, algorithm: str) -> None:
        self.world.change(name, {}, {ALGORITHM: algorithm})

    @rule(name=NAMES, port=PORTS)
    def move_port(self, name: str, port: int) -> None:
        self.world.change(name, {"ports": [{"port": port, "protocol": "TCP"}]})

    @rule(name=NAMES, families=FAMILIES, policy=POLICIES)
    def change_families(self, name: str, families: tuple[str, ...], policy: str) -> None:
        self.world.change(name, {"ipFamilies": list(families), "ipFamilyPolicy": policy})

    @rule(name=NAMES, address=st.sampled_from(["192.0.2.1", "192.0.2.2", "203.0.113.1"]))
    def scribble(self, name: str, address: str) -> None:
        self.world.scribble(name, address)
        self.scribbled.add(name)

    @initialize(count=st.integers(0, 3), key=st.sampled_from(["", "web"]))
    def begin(self, count: int, key: str) -> None:
        # Much of what can go wrong needs Services that are served already.
        for name, port in (("kuard", 80), ("nginx", 443), ("redis", 80))[:count]:
            self.world.create(name, port=port, key=key)
            self.world.scale(name, 2)
        # Names are disputed only where one has been given.
        self.world.change("redis", {}, {HOSTS: "www.lb.example"})
        self.world.settle()

    @rule(name=NAMES, choice=st.integers(0, 5))
    def one_step(self, name: str, choice: int) -> None:
        # One step of a plan only: the controller may die between any two.
        self.do_one(name, choice)

    @rule(name=NAMES, count=st.integers(2, 8), acknowledged=st.booleans())
    def some_steps(self, name: str, count: int, acknowledged: bool) -> None:
        for _ in range(count):
            self.do_one(name, 0)
            self.what_clients_may_know_is_served()
            self.no_place_is_served_for_two_services()
            self.no_name_is_answered_for_two_services()
            for index in range(3 if acknowledged else 0):
                self.world.acknowledge(index)

    def do_one(self, name: str, choice: int) -> None:
        before, view = self.world.shown().get(name, []), self.world.view(name)
        todo = self.world.plan(name).steps
        if todo:
            self.world.do(todo[choice % len(todo)])
        if name in self.scribbled or view.service is None:
            return
        stay = {str(entry.address) for entry in view.allocations} - set(map(str, view.unfit))
        after = self.world.shown().get(name, before)
        for address in set(before) & stay - set(after):
            # What fits is taken out of a status only with its family, or with everything.
            version = builders.address(address).version
            assert not after or version not in view.service.families

    @rule(name=NAMES)
    def stray(self, name: str) -> None:
        self.world.stray(name)

    @rule(index=st.integers(0, 2))
    def acknowledge(self, index: int) -> None:
        self.world.acknowledge(index)

    @rule(seconds=st.sampled_from([1, 6, 11, 31]))
    def time_passes(self, seconds: int) -> None:
        self.world.advance(seconds)

    @invariant()
    def no_place_is_served_for_two_services(self) -> None:
        assert all(len(keys) == 1 for keys in self.world.served().values())

    @invariant()
    def no_name_is_answered_for_two_services(self) -> None:
        answered = [host for _, host in self.world.answered()]
        assert len(answered) == len(set(answered))

    @invariant()
    def what_is_served_is_allocated(self) -> None:
        held = {
            (entry.address, port, holder.service.key)
            for entry in self.world.allocations.values()
            for holder in entry.holders
            for port, _ in (*holder.ports, (ANY, ""))
            if entry.sharing_key or port == ANY
        }
        shared = {entry.address for entry in self.world.allocations.values() if entry.sharing_key}
        for (address, port), keys in self.world.served().items():
            entered = port if address in shared else ANY
            assert {(address, entered, key) for key in keys} <= held

    @invariant()
    def what_clients_may_know_is_served(self) -> None:
        self.world.tell()
        for key, found in self.world.decisions.items():
            if found.virtual_service.phase is Phase.SERVING:
                serving = {vip.address for vip in found.virtual_service.vips}
                assert self.world.cached(key) <= serving

    @invariant()
    def what_a_service_shows_is_served(self) -> None:
        for name, addresses in self.world.shown().items():
            found = self.world.decisions.get(f"default.{name}")
            if found is None or found.virtual_service.phase is not Phase.SERVING:
                continue
            same = found.virtual_service.service.uid == self.world.services[name]["metadata"]["uid"]
            if same and name not in self.scribbled:
                assert set(addresses) <= {str(vip.address) for vip in found.virtual_service.vips}

    @invariant()
    def no_name_is_published_for_a_service_that_is_going(self) -> None:
        for found in self.world.decisions.values():
            if found.virtual_service.phase is not Phase.SERVING:
                assert not any(name.published for name in found.virtual_service.names)

    @invariant()
    def no_address_is_shown_without_our_finalizer_and_its_allocation(self) -> None:
        held = {
            (str(entry.address), holder.service.uid)
            for entry in self.world.allocations.values()
            for holder in entry.holders
        }
        for name, addresses in self.world.shown().items():
            meta = self.world.services[name]["metadata"]
            if "deletionTimestamp" in meta or not addresses or name in self.scribbled:
                continue
            assert FINALIZER in meta.get("finalizers", ())
            assert {(address, meta["uid"]) for address in addresses} <= held

    def teardown(self) -> None:
        self.world.settle()
        for name, obj in self.world.services.items():
            ours = obj["spec"]["type"] == "LoadBalancer"
            assert "deletionTimestamp" not in obj["metadata"]
            assert ours or "finalizers" not in obj["metadata"]
            assert ours or f"default.{name}" not in self.world.decisions
        held = [
            (holder.service.uid, entry.address.version)
            for entry in self.world.allocations.values()
            for holder in entry.holders
        ]
        assert len(held) == len(set(held))
        live = {obj["metadata"]["uid"] for obj in self.world.services.values()}
        assert {uid for uid, _ in held} <= live
        register = self.world.register()
        for key, found in self.world.decisions.items():
            for name in found.virtual_service.names:
                owner = register.owner(name.host)
                assert name.taken_by == ("" if owner == key.replace(".", "/") else owner)
        for name, found in self.world.decisions.items():
            assert {vip.role for vip in found.virtual_service.vips} <= {VipRole.CURRENT}, name


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


def test_an_address_shown_at_birth_goes_with_its_family_before_there_is_a_decision() -> None:
    machine = Cluster()
    machine.world.create("kuard")
    machine.do_one("kuard", 0)
    machine.do_one("kuard", 0)
    assert machine.world.shown() == {"kuard": ["192.0.2.1"]}
    machine.world.change("kuard", {"ipFamilies": ["IPv6"]})
    for _ in range(6):
        machine.do_one("kuard", 0)
        machine.what_a_service_shows_is_served()
    machine.teardown()
    assert machine.world.shown() == {"kuard": ["2001:db8::1"]}
