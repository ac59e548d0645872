"""Traffic from the lab's client, run there by `lbctl lab exec client -- python traffic.py …`.

`requests URL RATE` asks by name at a fixed rate, each time with a fresh look-up and connection,
until standard input ends; then prints one JSON object: how many were sent, what failed, who
answered, what was slow, and the slowest answer in seconds.
`hold HOST PORT COUNT` keeps that many connections and sends a line on each about every 0.3 s; each
line of standard input prints a JSON object {connection: pod or what broke it}. Both give up by
themselves after `LIMIT_S`.
"""

import asyncio
import json
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

LIMIT_S = 240.0
TIMEOUT_S = 4.0
SLOW_S = 1.0


def ask(url: str) -> tuple[str, float]:
    """Return the pod that answered and the seconds it took. Raises OSError."""
    began = time.monotonic()
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310
        pod = str(answer.read().decode().split()[0].removeprefix("pod="))
    return pod, time.monotonic() - began


async def requests(url: str, rate: float) -> None:
    """Send requests until standard input ends."""
    loop = asyncio.get_running_loop()
    ended = asyncio.ensure_future(loop.run_in_executor(None, sys.stdin.read))
    pool = ThreadPoolExecutor(max_workers=64)
    start = time.monotonic()
    asked: list[asyncio.Future[tuple[str, float]]] = []
    times: list[float] = []
    while not ended.done() and time.monotonic() - start < LIMIT_S:
        times.append(time.monotonic() - start)
        asked.append(loop.run_in_executor(pool, ask, url))
        due = start + len(asked) / rate
        await asyncio.wait([ended], timeout=max(0.0, due - time.monotonic()))
    answers = await asyncio.gather(*asked, return_exceptions=True)
    failed = [
        f"{when:.2f} s: {answer!r}"
        for when, answer in zip(times, answers, strict=True)
        if isinstance(answer, BaseException)
    ]
    good = [answer for answer in answers if not isinstance(answer, BaseException)]
    pods, slowest_s = sorted({pod for pod, _ in good}), max((took for _, took in good), default=0.0)
    slow = [
        f"{when:.2f} s: {answer[1]:.2f} s"
        for when, answer in zip(times, answers, strict=True)
        if not isinstance(answer, BaseException) and answer[1] > SLOW_S
    ]
    result = {"sent": len(asked), "failed": failed, "pods": pods, "slow": slow}
    print(json.dumps({**result, "slowest_s": round(slowest_s, 3)}))
    pool.shutdown(wait=False)


async def connection(host: str, port: int, seen: dict[int, str], number: int) -> None:
    """Keep one connection talking; note who answers, or what broke it."""
    try:
        reader, writer = await asyncio.open_connection(host, port)
        while True:
            writer.write(b"hello\n")
            line = await asyncio.wait_for(reader.readline(), TIMEOUT_S)
            if not line:
                raise ConnectionResetError("closed by the other side")
            pod = line.decode().split()[0].removeprefix("pod=")
            if seen.get(number, pod) != pod:
                raise ConnectionResetError(f"moved from {seen[number]} to {pod}")
            seen[number] = pod
            await asyncio.sleep(0.3)
    except (OSError, TimeoutError) as error:
        seen[number] = f"broken on {seen.get(number, 'nobody')}: {error!r}"


async def hold(host: str, port: int, count: int) -> None:
    """Hold connections and report on each line of standard input."""
    loop = asyncio.get_running_loop()
    seen: dict[int, str] = {}
    tasks = [asyncio.ensure_future(connection(host, port, seen, number)) for number in range(count)]
    async with asyncio.timeout(LIMIT_S):
        while await loop.run_in_executor(None, sys.stdin.readline):
            print(json.dumps(seen), flush=True)
    for task in tasks:
        task.cancel()


if __name__ == "__main__":
    if sys.argv[1] == "requests":
        asyncio.run(requests(sys.argv[2], float(sys.argv[3])))
    else:
        asyncio.run(hold(sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
