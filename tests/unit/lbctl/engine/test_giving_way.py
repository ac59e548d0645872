"""In a burst, what only people read is written after what somebody waits for."""

from pathlib import Path

import controller_bed
import event_loops
from controller_bed import Bed, served


def test_a_burst_gets_its_addresses_and_in_the_end_every_status(tmp_path: Path) -> None:
    names = [f"svc-{number}" for number in range(40)]

    async def body(bed: Bed) -> None:
        for name in names:
            await bed.create(name, families=("IPv6",), loadBalancerClass="lbctl.io/lbctl")
        async with event_loops.running(bed.controller(WIDE)):
            for name in names:
                await served(bed, name)

    async def within() -> None:
        async with controller_bed.bed(tmp_path) as bed:
            await body(bed)

    event_loops.run(within(), event_loops.Hurried)


WIDE = controller_bed.SETTINGS.model_copy(
    update={
        # On a busy machine a hurried clock runs away from a short lease.
        "lease": controller_bed.SETTINGS.lease.model_copy(update={"duration": 600}),
        "address_pools": tuple(
            pool.model_copy(update={"addresses": ("2001:db8::/120",)})
            for pool in controller_bed.SETTINGS.address_pools
        ),
    }
)
