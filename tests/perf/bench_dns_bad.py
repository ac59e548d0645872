"""What each message of the corpus costs the code that answers, and how long its reply is.

CPU time of one process without sockets, the best of some rounds. Amplification is reply by query:
what a flood in somebody else's name would gain.
"""

import time

import click

import dns_corpus
from dns_corpus import SEEDS, Seed
from lbctl_dns import server, wire

BAR_US = 100.0


def cost_us(responder: wire.Responder, packet: bytes, rounds: int, repeats: int) -> float:
    """Return the CPU time of one answer, the best of so many rounds."""
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time_ns()
        for _ in range(repeats):
            responder.answer(packet, wire.UDP, "192.0.2.1")
        best = min(best, (time.process_time_ns() - began) / repeats)
    return best / 1000


def row(responders: list[wire.Responder], seed: Seed, rounds: int, repeats: int) -> list[str]:
    """Return a line of the table: the worse of the zones."""
    packet = seed.packet[: server.MAX_QUERY]
    replies = [one.answer(packet, wire.UDP, "192.0.2.1") or b"" for one in responders]
    reply = max(replies, key=len)
    took = max(cost_us(one, packet, rounds, repeats) for one in responders)
    larger = f"{len(reply) / len(packet):.2f}" if packet else "0.00"
    return [seed.name, str(len(packet)), str(len(reply)), larger, f"{took:.1f}"]


@click.command()
@click.option("--rounds", default=7, show_default=True)
@click.option("--repeats", default=300, show_default=True)
@click.option("--worst", default=0, help="Show so many of the costliest only; 0: all.")
@click.option("--markdown", is_flag=True, help="Print the table for the docs.")
def main(rounds: int, repeats: int, worst: int, markdown: bool) -> None:
    """Time each hostile message, and say how much larger its reply is."""
    zones = dns_corpus.ZONE, dns_corpus.PLAIN_ZONE
    responders = [dns_corpus.responder(zone) for zone in zones]
    found = (row(responders, seed, rounds, repeats) for seed in SEEDS)
    rows = sorted(found, key=lambda one: -float(one[-1]))
    head = ["message", "bytes", "reply", "reply / query", "µs"]
    for cells in (head, *rows[: worst or None]):
        line = (
            " | ".join(cells)
            if markdown
            else "  ".join(
                f"{cell:<42}" if at == 0 else f"{cell:>13}" for at, cell in enumerate(cells)
            )
        )
        print(f"| {line} |" if markdown else line)
        if markdown and cells is head:
            print("|---|---|---|---|---|")
    largest = max(rows, key=lambda one: float(one[3]))
    print(f"costliest: {rows[0][-1]} µs (≤ {BAR_US:g})")
    print(f"largest reply / query: {largest[3]}, {largest[0]}")


if __name__ == "__main__":
    main()
