"""Dirty keys: each waits once, none is worked on twice at a time, failures back off."""

import asyncio

import pytest

import event_loops
from lbctl.runtime import workqueue
from lbctl.runtime.workqueue import WorkQueue


async def drained(queue: WorkQueue) -> list[str]:
    """Return the keys that are ready now, in order."""
    return [await queue.get() for _ in range(len(queue))]


def test_a_key_that_is_added_twice_waits_once_and_first_comes_first() -> None:
    async def body() -> list[str]:
        queue = WorkQueue()
        for key in "abab":
            queue.add(key)
        assert len(queue) == 2
        return await drained(queue)

    assert event_loops.run(body()) == ["a", "b"]


def test_a_key_that_is_being_worked_on_waits_for_that_to_end() -> None:
    async def body() -> None:
        queue = WorkQueue()
        queue.add("a")
        assert await queue.get() == "a"
        queue.add("a")
        assert len(queue) == 0
        queue.done("a")
        assert await drained(queue) == ["a"]

    event_loops.run(body())


def test_a_key_that_was_not_marked_meanwhile_is_not_ready_again() -> None:
    async def body() -> int:
        queue = WorkQueue()
        queue.add("a")
        await queue.get()
        queue.done("a")
        return len(queue)

    assert event_loops.run(body()) == 0


def test_a_waiting_worker_gets_the_next_key() -> None:
    async def body() -> str:
        queue = WorkQueue()
        waiting = asyncio.ensure_future(queue.get())
        await event_loops.turns()
        queue.add("a")
        return await waiting

    assert event_loops.run(body()) == "a"


def test_a_worker_that_gave_up_waiting_is_passed_over() -> None:
    async def body() -> str:
        queue = WorkQueue()
        gone, waiting = (asyncio.ensure_future(queue.get()) for _ in range(2))
        await event_loops.turns()
        gone.cancel()
        await event_loops.turns()
        queue.add("a")
        return await waiting

    assert event_loops.run(body()) == "a"


def test_a_worker_that_is_cancelled_as_its_key_comes_leaves_the_key_to_the_others() -> None:
    async def body() -> str:
        queue = WorkQueue()
        gone, waiting = (asyncio.ensure_future(queue.get()) for _ in range(2))
        await event_loops.turns()
        queue.add("a")
        gone.cancel()
        return await waiting

    assert event_loops.run(body()) == "a"


def test_a_worker_that_finds_its_key_taken_waits_on() -> None:
    async def body() -> str:
        queue = WorkQueue()
        waiting = asyncio.ensure_future(queue.get())
        await event_loops.turns()
        queue.add("a")
        assert await queue.get() == "a"
        await event_loops.turns()
        assert not waiting.done()
        queue.add("b")
        return await waiting

    assert event_loops.run(body()) == "b"


def test_a_delayed_key_comes_when_its_time_has_come() -> None:
    async def body() -> str:
        queue = WorkQueue()
        queue.add_after("a", 0.01)
        assert len(queue) == 0
        return await queue.get()

    assert event_loops.run(body()) == "a"


def test_a_delay_in_the_past_means_now() -> None:
    async def body() -> str:
        queue = WorkQueue()
        queue.add_after("a", -5)
        return await queue.get()

    assert event_loops.run(body()) == "a"


@pytest.mark.parametrize("delays", [(0.0, 3600.0), (3600.0, 0.0)])
def test_of_two_timers_the_earlier_one_counts(delays: tuple[float, float]) -> None:
    async def body() -> str:
        queue = WorkQueue()
        for delay_s in delays:
            queue.add_after("a", delay_s)
        return await queue.get()

    assert event_loops.run(body()) == "a"


class Waits(WorkQueue):
    """A queue that notes the delays asked of it instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.delays: list[float] = []

    def add_after(self, key: str, delay_s: float) -> None:
        self.delays.append(delay_s)


def test_failures_double_the_wait_up_to_the_cap_with_jitter() -> None:
    queue = Waits()
    for _ in range(12):
        queue.retry("a")
    for failures, delay_s in enumerate(queue.delays):
        full = min(workqueue.BACKOFF_FIRST_S * 2**failures, workqueue.BACKOFF_CAP_S)
        assert full / 2 <= delay_s <= full


def test_a_success_forgets_the_failures_of_its_key_alone() -> None:
    queue = Waits()
    for key in ("a", "b", "a", "b"):
        queue.retry(key)
    queue.succeeded("a")
    queue.succeeded("never failed")
    queue.delays.clear()
    queue.retry("a")
    queue.retry("b")
    first, third = queue.delays
    assert first <= workqueue.BACKOFF_FIRST_S
    assert third >= 2 * workqueue.BACKOFF_FIRST_S


def test_retrying_for_years_does_not_overflow() -> None:
    queue = Waits()
    for _ in range(3000):
        queue.retry("a")
    assert queue.delays[-1] <= workqueue.BACKOFF_CAP_S


def test_what_marked_a_key_before_its_worker_looks_does_not_bring_it_again() -> None:
    async def body() -> int:
        queue = WorkQueue()
        queue.add("a")
        await queue.get()
        queue.add("a")
        queue.seen("a")
        queue.done("a")
        return len(queue)

    assert event_loops.run(body()) == 0


async def busy(queue: WorkQueue, *keys: str) -> list[str]:
    """Take so many keys into work that no moment is quiet."""
    for key in keys:
        queue.add(key)
    return [await queue.get() for _ in keys]


def test_what_is_put_off_comes_when_little_else_is_in_work() -> None:
    async def body() -> list[str]:
        queue = WorkQueue()
        taken = await busy(queue, "a", "b", "c")
        assert queue.put_off("a")
        queue.done("a")
        queue.add("d")
        order = [await queue.get()]
        waiting = asyncio.ensure_future(queue.get())
        await event_loops.turns()
        assert not waiting.done()
        waiting.cancel()
        for key in (*taken[1:], "d"):
            queue.done(key)
        return [*order, await queue.get()]

    assert event_loops.run(body()) == ["d", "a"]


def test_in_a_quiet_moment_and_in_its_turn_nothing_is_put_off() -> None:
    async def body() -> None:
        queue = WorkQueue()
        await busy(queue, "a", "b", "c")
        assert queue.put_off("a")
        for key in "abc":
            queue.done(key)
        assert await queue.get() == "a"
        await busy(queue, "b", "c", "d")
        assert not queue.put_off("a")
        for key in "cd":
            queue.done(key)
        assert not queue.put_off("b")

    event_loops.run(body())


def test_a_key_that_is_put_off_and_marked_dirty_is_worked_on_once() -> None:
    async def body() -> int:
        queue = WorkQueue()
        await busy(queue, "a", "b", "c")
        assert queue.put_off("a")
        queue.done("a")
        queue.add("a")
        assert await queue.get() == "a"
        for key in "abc":
            queue.done(key)
        waiting = asyncio.ensure_future(queue.get())
        await event_loops.turns()
        assert not waiting.done()
        waiting.cancel()
        return len(queue)

    assert event_loops.run(body()) == 0


def test_where_work_is_slow_what_is_put_off_waits_for_a_calm_moment() -> None:
    async def body() -> float:
        clock = asyncio.get_running_loop().time
        queue = WorkQueue()
        queue.congested = True
        await busy(queue, "a")
        began = clock()
        assert queue.put_off("a")
        queue.done("a")
        assert await queue.get() == "a"
        return clock() - began

    assert event_loops.run(body()) >= workqueue.CALM_S


def test_what_is_due_is_taken_without_a_calm_moment_and_nothing_else_is_forgotten() -> None:
    async def body() -> None:
        queue = WorkQueue()
        queue.congested = True
        await busy(queue, "a", "b", "c")
        assert queue.put_off("a")
        queue.done("a")
        workers = [asyncio.ensure_future(queue.get()) for _ in range(2)]
        await asyncio.sleep(workqueue.PATIENCE_S)
        queue.add("d")
        assert sorted(await asyncio.gather(*workers)) == ["a", "d"]

    event_loops.run(body(), event_loops.Hurried)


def test_patience_ends_however_busy_it_is() -> None:
    async def body() -> list[str]:
        queue = WorkQueue()
        await busy(queue, "a", "b", "c")
        assert queue.put_off("a")
        queue.done("a")
        queue.add("a")
        queue.add("d")
        assert await queue.get() == "a"
        assert queue.put_off("a")
        queue.done("a")
        await asyncio.sleep(workqueue.PATIENCE_S)
        first = await queue.get()
        assert not queue.put_off("a")
        return [first, await queue.get()]

    assert event_loops.run(body(), event_loops.Hurried) == ["a", "d"]


def test_a_retried_key_comes_again() -> None:
    async def body() -> str:
        queue = WorkQueue()
        queue.retry("a")
        return await queue.get()

    assert event_loops.run(body()) == "a"
