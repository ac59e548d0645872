"""What tests do to a node whose packets nftables moves."""

import asyncio
from collections.abc import Awaitable, Callable

import event_loops
from dataplane_bed import network_of
from dataplane_worlds import V4, V6, NftWorld
from lbctl_dataplane.backends.port import NodeBackend
from spaces import sh

OURS = ("inet", "lbctl-node")
CLIENTS = {V4: "172.31.241.5", V6: "fd00:1b:0:241:1::1"}
"""Who connects, by the VIP."""


def nft(world: NftWorld, *words: str) -> str:
    """Return what nft says on the node."""
    return sh("nft", *words, inside=world.bed.node)


def load(world: NftWorld, text: str) -> None:
    """Let somebody on the node run a transaction."""
    path = world.bed.folder / "others.nft"
    path.write_text(text)
    nft(world, "-f", str(path))


def with_one_agent(
    world: NftWorld, body: Callable[[NodeBackend], Awaitable[None]], *, hurried: bool = False
) -> None:
    """Run `body` with a backend that lives on between its calls, on the node."""

    async def scenario() -> None:
        backend = world.backend()
        known = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(backend.follow(known.set))
            await known.wait()
            await body(backend)
            following.cancel()

    with network_of(world.bed.node):
        event_loops.run(scenario(), event_loops.Brisk if hurried else asyncio.new_event_loop)
