"""An nftables agent that runs on: what it believes is what is there, whoever changes it."""

import asyncio

import pytest

import dataplane_builders as build
import event_loops
from dataplane_bed import network_of
from dataplane_worlds import V4, NftWorld, serve
from lbctl.model import errors
from lbctl_dataplane.backends import audits
from lbctl_dataplane.backends.port import NodeBackend
from lbctl_dataplane.backends.tables import batches
from lbctl_dataplane.backends.tables.generation import Others
from lbctl_dataplane.backends.tables.kernel_table import KernelTable
from lbctl_dataplane.backends.tables.netfilter import Netfilter
from lbctl_dataplane.rules.nft import layout
from lbctl_dataplane.rules.tables import batch as nft_batch
from lbctl_dataplane.rules.tables.elements import Element, Elements, KeptTable, Moves, Table
from nft_agents import OURS, load, nft, with_one_agent

pytestmark = pytest.mark.root


@pytest.mark.parametrize("change_before", [False, True], ids=["at rest", "after a change"])
def test_an_agent_that_runs_repairs_damage_in_its_next_audit(
    nft_world: NftWorld, *, change_before: bool
) -> None:
    at = build.place(V4)
    damage = f"delete element {' '.join(OURS)} vips4 {{ {V4} }}"

    async def scenario(backend: NodeBackend) -> None:
        wanted = [serve(nft_world, at, (1, 2))]
        await backend.program(wanted)
        await asyncio.sleep(2 * audits.EVERY_S)
        assert (await backend.program(wanted)).changed == 0
        if change_before:
            wanted = [serve(nft_world, at, (1, 2, 3))]
            await backend.program(wanted)
        whole = nft(nft_world, "list", "table", *OURS)
        load(nft_world, damage)
        await asyncio.sleep(2 * audits.EVERY_S)
        assert (await backend.program(wanted)).changed == 1
        assert nft(nft_world, "list", "table", *OURS) == whole

    with_one_agent(nft_world, scenario, hurried=True)


def test_damage_that_falls_between_two_changes_is_found(nft_world: NftWorld) -> None:
    async def scenario(backend: NodeBackend) -> None:
        await backend.program([serve(nft_world, build.place(V4), (1, 2))])
        load(nft_world, f"delete element {' '.join(OURS)} vips4 {{ {V4} }}")
        wanted = [serve(nft_world, build.place(V4), (1, 2, 3))]
        await backend.program(wanted)
        await asyncio.sleep(2 * audits.EVERY_S)
        assert (await backend.program(wanted)).changed == 1

    with_one_agent(nft_world, scenario, hurried=True)


def test_while_others_change_their_tables_ours_stays_known(nft_world: NftWorld) -> None:
    wanted = [serve(nft_world, build.place(V4), (1, 2))]

    async def scenario(backend: NodeBackend) -> None:
        await backend.program(wanted)
        for _ in range(3):
            load(nft_world, "add table inet other\ndelete table inet other\n")
            await asyncio.sleep(2 * audits.EVERY_S)
            assert (await backend.program(wanted)).changed == 0

    with_one_agent(nft_world, scenario, hurried=True)


class Watched(KeptTable):
    """A table that counts how often it was read."""

    reads = 0
    found: Elements | None = None
    """What was read last."""

    def read_back(self, observed: Elements | None) -> None:
        self.reads += 1
        self.found = observed
        super().read_back(observed)


def table(name: str) -> Watched:
    return Watched(Table(f"inet lbctl-{name}", {"names": "set {} {{ type ifname; }}"}, {}))


def test_tables_of_one_agent_are_not_read_for_each_others_changes(nft_world: NftWorld) -> None:
    async def scene() -> None:
        others = Others()
        kept = (table("one"), table("other"))
        one, other = (KernelTable(entry, others) for entry in kept)

        async def audit_after(changes: int) -> None:
            for number in range(changes):
                kept[0].elements.add({Element("names", f"eth{len(kept[0].elements.desired)}"): ()})
                assert await one.make_it_so() == 1, number
            await asyncio.sleep(2 * audits.EVERY_S)
            assert await one.make_it_so() == await other.make_it_so() == 0

        await one.make_it_so()
        await other.make_it_so()
        await audit_after(0)
        read = [entry.reads for entry in kept]
        await audit_after(3)
        assert [entry.reads for entry in kept] == read
        load(nft_world, "add table inet other\ndelete table inet other\n")
        await audit_after(0)
        assert [entry.reads for entry in kept] == [count + 1 for count in read]

    try:
        with network_of(nft_world.bed.node):
            event_loops.run(scene(), event_loops.Brisk)
    finally:
        load(nft_world, "delete table inet lbctl-one\ndelete table inet lbctl-other\n")


def test_a_change_does_not_wait_for_an_audit_that_is_due(nft_world: NftWorld) -> None:
    async def scene() -> None:
        kept = table("one")
        one = KernelTable(kept)
        await one.make_it_so()
        await asyncio.sleep(2 * audits.EVERY_S)
        load(nft_world, "add table inet other\ndelete table inet other\n")
        kept.elements.add({Element("names", "eth0"): ()})
        reads = kept.reads
        assert await one.make_it_so() == 1
        assert (kept.reads, kept.found) == (reads + 1, {Element("names", "eth0"): ()})

    try:
        with network_of(nft_world.bed.node):
            event_loops.run(scene(), event_loops.Brisk)
    finally:
        load(nft_world, "delete table inet lbctl-one\n")


def test_a_change_over_netlink_is_what_nft_would_have_made(nft_world: NftWorld) -> None:
    at = build.place(V4)

    async def scenario(backend: NodeBackend) -> None:
        await backend.program([serve(nft_world, at, (1, 2, 3))])
        by_nft = nft(nft_world, "list", "table", *OURS)
        await backend.program([serve(nft_world, at, (1,))])
        await backend.program([serve(nft_world, at, (1, 2, 3))])
        assert nft(nft_world, "list", "table", *OURS) == by_nft

    with_one_agent(nft_world, scenario)


def test_a_change_that_the_kernel_refuses_changes_nothing(nft_world: NftWorld) -> None:
    there, missing = Element("vips4", "198.18.0.77"), Element("vips4", "198.18.0.78")
    batch = nft_batch.encode(layout.TABLE, Moves((missing,), ((there, ""),)))
    assert batch is not None

    async def scenario(backend: NodeBackend) -> None:
        await backend.program([serve(nft_world, build.place(V4), (1, 2))])
        before = nft(nft_world, "list", "table", *OURS)
        with pytest.raises(errors.Unavailable, match="No such file"):
            await batches.make(batch, Netfilter())
        assert nft(nft_world, "list", "table", *OURS) == before

    with_one_agent(nft_world, scenario)
