"""IPAM against a naive model: no address twice, lowest first, exhaustion exact."""

import itertools

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import builders
from lbctl.ipam.allocator import AddressRequest, Grant, allocate
from lbctl.ipam.ledger import Ledger
from lbctl.ipam.ranges import parse_pool
from lbctl.model.reasons import Reason, Refused
from lbctl.model.virtual_service import Address

# Two ranges overlap and one stands twice: operators write such things.
POOLS = (
    parse_pool("first", ["192.0.2.1-192.0.2.3", "2001:db8::1-2001:db8::2"]),
    parse_pool("second", ["192.0.2.3-192.0.2.5", "192.0.2.0/29"]),
)
SERVICES = st.sampled_from([f"uid-{n}" for n in range(6)])
FAMILIES = st.sampled_from([4, 6])
WANTED = st.sampled_from(
    [builders.address(text) for n in range(8) for text in (f"192.0.2.{n}", f"2001:db8::{n}")]
)


def in_order(family: int) -> list[tuple[Address, str]]:
    """Return every address of a family in the order it is given, each with its pool."""
    found: dict[Address, str] = {}
    for pool in POOLS:
        for entry in pool.ranges:
            if entry.family == family:
                for offset in range(int(entry.last) - int(entry.first) + 1):
                    found.setdefault(entry.first + offset, pool.name)
    return list(found.items())


class Addresses(RuleBasedStateMachine):
    """Services ask for addresses and give them back; the naive model is a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.held: dict[Address, str] = {}

    def take(self, request: AddressRequest) -> Grant | Refused:
        found = allocate(request, POOLS, self.ledger)
        assert found == allocate(request, POOLS, self.ledger)
        if isinstance(found, Grant):
            assert self.held.get(found.address, request.holder) == request.holder
            self.ledger.bind(found.address, request.holder)
            self.held[found.address] = request.holder
        return found

    def lowest_free(self, family: int) -> tuple[Address, str] | None:
        free = (entry for entry in in_order(family) if entry[0] not in self.held)
        return next(free, None)

    @rule(holder=SERVICES, family=FAMILIES)
    def ask(self, holder: str, family: int) -> None:
        lowest = self.lowest_free(family)
        found = self.take(AddressRequest(holder, family))
        if lowest is None:
            assert isinstance(found, Refused)
            assert found.reason is Reason.POOL_EXHAUSTED
        else:
            assert found == Grant(*lowest)

    @rule(holder=SERVICES, wanted=WANTED)
    def ask_for(self, holder: str, wanted: Address) -> None:
        pool = dict(in_order(wanted.version)).get(wanted)
        before = self.held.get(wanted)
        found = self.take(AddressRequest(holder, wanted.version, wanted=wanted))
        if pool is None:
            assert isinstance(found, Refused)
            assert found.reason is Reason.ADDRESS_NOT_IN_POOL
        elif before not in (None, holder):
            assert isinstance(found, Refused)
            assert found.reason is Reason.ADDRESS_TAKEN
        else:
            assert found == Grant(wanted, pool)

    @rule(holder=SERVICES, shown=WANTED)
    def adopt(self, holder: str, shown: Address) -> None:
        pool = dict(in_order(shown.version)).get(shown)
        free = pool is not None and self.held.get(shown, holder) == holder
        lowest = self.lowest_free(shown.version)
        found = self.take(AddressRequest(holder, shown.version, shown=shown))
        if free:
            assert isinstance(found, Grant)
            assert found.address == shown
        elif lowest is not None:
            assert found == Grant(*lowest)
        else:
            assert isinstance(found, Refused)

    @rule(address=WANTED)
    def give_back(self, address: Address) -> None:
        self.ledger.release(address)
        self.held.pop(address, None)

    @rule(address=WANTED, holder=SERVICES)
    def learn(self, address: Address, holder: str) -> None:
        # Another writer's IPAllocation shows up: what the API says is so.
        self.ledger.bind(address, holder)
        self.held[address] = holder

    @invariant()
    def the_ledger_says_what_the_model_says(self) -> None:
        for address, _ in itertools.chain(in_order(4), in_order(6)):
            assert self.ledger.holder(address) == self.held.get(address, "")


Addresses.TestCase.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
TestAddresses = Addresses.TestCase
