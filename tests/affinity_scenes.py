"""What a place that remembers clients does in time, the same on every backend that counts idleness.

Needs root.
"""

import time

import dataplane_builders as build
from dataplane_worlds import PODS, PacketWorld, names, serve, talks


def remembered_while_it_sends(world: PacketWorld, vip: str, timeout_s: int) -> None:
    """Fail unless a client stays with its member while it sends, and no longer.

    One connection that goes on is enough: it sends for longer than the time.
    """
    at, later = build.place(vip), []

    def program(*pods: int) -> None:
        world.program(serve(world, at, pods, affinity=True, affinity_timeout_s=timeout_s))

    for pod in (1, 2):
        program(pod)
        with talks(world, at, 1) as made:
            assert names(made) == [f"pod{pod}"]
            program(*PODS)
            for _ in range(3 * timeout_s):
                time.sleep(0.5)
                assert names(made) == [f"pod{pod}"]
            with talks(world, at, 1) as another:
                assert names(another) == [f"pod{pod}"]
        time.sleep(timeout_s + 2)
        with talks(world, at, 1) as made:
            later += names(made)
        world.program()
    assert len(set(later)) == 1
