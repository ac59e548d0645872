"""Traffic from the lab's client, run there by `lbctl lab exec client -- python traffic.py …`.

`requests URL RATE` asks by name at a fixed rate, each time with a fresh look-up and connection,
until standard input ends; then prints one JSON object with how many worked and what failed.
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


def ask(url: str) -> str:
    """Return the pod that answered. Raises OSError."""
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310
        return str(answer.read().decode().split()[0].removeprefix("pod="))


async def requests(url: str, rate: float) -> None:
    """Send requests until standard input ends."""
    loop = asyncio.get_running_loop()
    ended = asyncio.ensure_future(loop.run_in_executor(None, sys.stdin.read))
    pool = ThreadPoolExecutor(max_workers=64)
    start = time.monotonic()
    asked: list[asyncio.Future[str]] = []
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
    pods = sorted({answer for answer in answers if isinstance(answer, str)})
    print(json.dumps({"sent": len(asked), "failed": failed, "pods": pods}))
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
