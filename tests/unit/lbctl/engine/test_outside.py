"""Addresses that an external IPAM gives, from the claim to giving back."""

import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import builders
import controller_bed
import event_loops
import inspect_bed
from controller_bed import Bed, served
from fakes.ipam_server import Book, serving
from lbctl.kube import resources

ALLOCATION = "ip-192-0-2-7"
OWNER = "lab/default/kuard/ipv4"
Story = Callable[[Bed, Book], Coroutine[Any, Any, None]]


@contextlib.asynccontextmanager
async def at_work(folder: Path, book: Book) -> AsyncIterator[Bed]:
    async with serving(book, "secret") as url:
        (folder / "token").write_text("secret")
        asked = {"url": url, "tokenFile": str(folder / "token")}
        pool = {"name": "outer", "addresses": ["192.0.2.0/24"], "external": asked}
        settings = inspect_bed.settings(addressPools=[pool], lease={"duration": 120, "renew": 5})
        async with controller_bed.controlled(folder, settings) as bed:
            yield bed


@pytest.fixture
def tell(tmp_path: Path) -> Callable[[Story], None]:
    async def within(story: Story) -> None:
        book = Book(["192.0.2.7", "192.0.2.9"])
        async with at_work(tmp_path, book) as bed:
            await story(bed, book)

    return lambda story: event_loops.run(within(story), event_loops.Hurried)


def state(bed: Bed) -> str:
    found = bed.find(resources.IP_ALLOCATIONS, ALLOCATION) or {"spec": {"state": "gone"}}
    return str(found["spec"]["state"])


def test_a_service_gets_what_the_ipam_chooses_and_gives_it_back(tell: Any) -> None:
    async def story(bed: Bed, book: Book) -> None:
        await bed.create()
        await served(bed)
        assert bed.ingress() == ["192.0.2.7"]
        assert state(bed) == "Bound"
        assert list(book.owners) == [OWNER]
        await bed.delete()
        await bed.until(lambda: state(bed) == "gone")
        assert book.owners == {}
        assert book.calls == [f"claim {OWNER}", f"release {OWNER}"]

    tell(story)


def test_a_refusal_and_an_outage_are_told_and_end_by_themselves(tell: Any) -> None:
    async def story(bed: Bed, book: Book) -> None:
        book.away = True
        await bed.create()
        await bed.until(lambda: "no answer" in message(bed))
        book.away, free = False, book.free
        book.free = []
        await bed.until(lambda: "none left" in message(bed))
        book.free = free
        await served(bed)
        assert bed.ingress() == ["192.0.2.7"]

    tell(story)


def message(bed: Bed) -> str:
    status = (bed.service() or {}).get("status") or {}
    return " ".join(entry["message"] for entry in status.get("conditions") or ())


def test_an_address_that_the_pool_does_not_have_is_given_back_at_once(tell: Any) -> None:
    async def story(bed: Bed, book: Book) -> None:
        book.free.insert(0, builders.address("203.0.113.1"))
        await bed.create()
        await bed.until(lambda: "which that pool has not to give" in message(bed))
        assert bed.ingress() == []
        assert book.owners == {}
        await served(bed)  # the book gives another one next time
        assert bed.ingress() == ["192.0.2.7"]

    tell(story)


def test_while_the_ipam_is_away_an_address_is_nobodys_and_goes_back_later(tell: Any) -> None:
    async def story(bed: Bed, book: Book) -> None:
        await bed.create()
        await served(bed)
        book.away = True
        await bed.delete()
        await bed.until(lambda: state(bed) == "Releasing")
        assert list(book.owners) == [OWNER]
        book.away = False
        await bed.until(lambda: state(bed) == "gone")
        assert book.owners == {}

    tell(story)


def test_a_service_made_again_gets_the_same_address_or_a_new_claim(tell: Any) -> None:
    async def story(bed: Bed, book: Book) -> None:
        await bed.create()
        await served(bed)
        await bed.delete()
        await bed.until(lambda: bed.service() is None)
        await bed.create()
        await served(bed)
        assert list(book.owners.values()) == [builders.address(bed.ingress()[0])]

    tell(story)
