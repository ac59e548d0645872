"""Read a process's endpoint as Prometheus and a kubelet do."""

import asyncio
import socket
from collections.abc import Callable

from prometheus_client import parser
from prometheus_client.registry import CollectorRegistry

from lbctl.runtime import metrics


class Shown:
    """All samples at one moment."""

    def __init__(self, text: str) -> None:
        self._values = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in parser.text_string_to_metric_families(text)
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float:
        """Return one sample; 0 when it is not there."""
        return self._values.get((name, frozenset(labels.items())), 0.0)

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of all samples that have these labels among theirs."""
        wanted = labels.items()
        return sum(
            value for (one, has), value in self._values.items() if one == name and wanted <= has
        )

    def has(self, name: str) -> bool:
        return any(one == name for one, _ in self._values)

    def names(self) -> set[str]:
        return {name for name, _ in self._values}

    def labels(self, name: str) -> set[str]:
        """Return the names of the labels that samples of a metric have."""
        return {label for one, has in self._values if one == name for label, _ in has}


def of(registry: CollectorRegistry) -> Shown:
    return Shown(metrics.text(registry).decode())


def free_port() -> int:
    with socket.create_server(("", 0)) as sock:
        return int(sock.getsockname()[1])


async def get(port: int, path: str) -> tuple[int, str]:
    """Return status and body; status 0 while nothing listens."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionError:
        return 0, ""
    writer.write(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
    reply = (await reader.read()).decode()
    writer.close()
    head, _, body = reply.partition("\r\n\r\n")
    return int(head.split()[1]), body


async def scrape(port: int) -> Shown:
    status, body = await get(port, "/metrics")
    assert status in {0, 200}, body
    return Shown(body)


async def until(port: int, holds: Callable[[Shown], bool]) -> Shown:
    """Scrape until something holds; the limit of the test's loop ends it."""
    while not holds(shown := await scrape(port)):  # noqa: ASYNC110 (another process)
        await asyncio.sleep(0.005)
    return shown


async def until_status(port: int, path: str, wanted: int) -> str:
    """Ask until a path answers so; return what it says."""
    while True:
        status, body = await get(port, path)
        if status == wanted:
            return body
        await asyncio.sleep(0.005)
