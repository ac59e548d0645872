"""What is said of members that relays serve."""

from pathlib import Path

import controller_bed
import event_loops
import inspect_bed
from inspect_bed import stage
from lbctl.inspection import members


def test_they_say_by_which_way_they_are_reached(tmp_path: Path) -> None:
    async def body() -> None:
        async with controller_bed.controlled(tmp_path) as bed:
            await bed.agent("edge-1", remoteMembers="nodePorts")
            await bed.scale(1)
            await bed.create(ports=[{"name": "", "port": 8080, "nodePort": 30080}])
            await bed.until(lambda: bed.decision() is not None)
            await bed.acknowledge("edge-1")
            await bed.until(lambda: bed.ingress() != [])
            found = await inspect_bed.explained(bed)
            (line,) = stage(found, "members").details
            assert line == "10.244.1.1 on node-1: usable, by node-1:30080 from edge-1"
            assert stage(found, "nodes").details == ("edge-1: 1 member, programmed",)
            (row,) = members.listing(await inspect_bed.scene(bed)).rows
            assert row.item["programmed"] == "by node-1:30080 from edge-1: programmed"

    event_loops.run(body(), event_loops.Hurried)
