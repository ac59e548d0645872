"""What nodes say of failing members moves the status of the decision."""

from controller_bed import Bed, Play


def failing(*numbers: int) -> list[dict[str, object]]:
    return [
        {
            "key": "default.kuard",
            "address": f"10.244.1.{number}",
            "protocol": "TCP",
            "port": 8080,
            "reason": "TimedOut",
        }
        for number in numbers
    ]


def test_a_member_that_fails_is_not_counted_and_one_that_is_back_is(play: Play) -> None:
    async def body(bed: Bed) -> None:
        await bed.agent("node-1")
        await bed.scale(2)
        await bed.create()
        await bed.until(lambda: bed.decision() is not None)
        await bed.acknowledge("node-1")
        await bed.until(lambda: (bed.state() or ("", "", ""))[2] == "2/2")
        await bed.acknowledge("node-1", failing=failing(1))
        await bed.until(lambda: (bed.state() or ("", "", ""))[2] == "1/2")
        await bed.acknowledge("node-1", failing=[])
        await bed.until(lambda: (bed.state() or ("", "", ""))[2] == "2/2")

    play(body)
