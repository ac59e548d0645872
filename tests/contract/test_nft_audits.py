"""An nftables agent that runs on: what it believes is what is there, whoever changes it."""

import asyncio

import pytest

import dataplane_builders as build
from dataplane_worlds import V4, NftWorld, serve
from lbctl_dataplane.backends import audits
from lbctl_dataplane.backends.port import NodeBackend
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
