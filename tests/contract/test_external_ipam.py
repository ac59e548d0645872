"""What every external IPAM has to do: one in memory, and the example over HTTP."""

import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import builders
import event_loops
from fakes import ipam_server
from lbctl.drivers.http_ipam import HttpIpam
from lbctl.ipam.port import Claim, ExternalIpam
from lbctl.model import errors
from lbctl.model.reasons import Reason, Refused

ONE, TWO = builders.address("192.0.2.1"), builders.address("192.0.2.2")
MINE = Claim("lab", "main", "default/kuard", 4)
YOURS = Claim("lab", "main", "default/other", 4)
Body = Callable[[ExternalIpam, ipam_server.Book], Coroutine[Any, Any, None]]
Ask = Callable[[Body], None]


@contextlib.asynccontextmanager
async def over_http(book: ipam_server.Book, folder: Path) -> AsyncIterator[HttpIpam]:
    token = folder / "token"
    token.write_text("secret\n")
    async with ipam_server.serving(book, "secret") as url:
        yield HttpIpam(url, str(token))


@pytest.fixture(params=["memory", "http"])
def ask(request: pytest.FixtureRequest, tmp_path: Path) -> Ask:
    async def within(body: Body) -> None:
        book = ipam_server.Book(["192.0.2.1", "192.0.2.2", "2001:db8::1"])
        if request.param == "memory":
            await body(book, book)
            return
        async with over_http(book, tmp_path) as ipam:
            await body(ipam, book)

    return lambda body: event_loops.run(within(body))


def test_an_owner_that_claims_again_is_told_what_it_has(ask: Ask) -> None:
    async def body(ipam: ExternalIpam, book: ipam_server.Book) -> None:
        assert await ipam.claim(MINE) == ONE
        assert await ipam.claim(YOURS) == TWO
        assert await ipam.claim(MINE) == ONE
        assert set(book.owners) == {"lab/default/kuard/ipv4", "lab/default/other/ipv4"}

    ask(body)


def test_families_are_claimed_apart(ask: Ask) -> None:
    async def body(ipam: ExternalIpam, book: ipam_server.Book) -> None:
        assert await ipam.claim(MINE) == ONE
        six = Claim("lab", "main", "default/kuard", 6)
        assert await ipam.claim(six) == builders.address("2001:db8::1")

    ask(body)


def test_the_address_that_a_user_wants_is_asked_for(ask: Ask) -> None:
    async def body(ipam: ExternalIpam, book: ipam_server.Book) -> None:
        assert await ipam.claim(Claim("lab", "main", "default/kuard", 4, wanted=TWO)) == TWO

    ask(body)


def test_a_refusal_is_an_answer_that_says_why(ask: Ask) -> None:
    async def body(ipam: ExternalIpam, book: ipam_server.Book) -> None:
        book.free.clear()
        found = await ipam.claim(MINE)
        assert isinstance(found, Refused)
        assert found.reason is Reason.ADDRESS_AWAITED
        assert "none left" in found.detail

    ask(body)


def test_giving_back_twice_is_giving_back(ask: Ask) -> None:
    async def body(ipam: ExternalIpam, book: ipam_server.Book) -> None:
        await ipam.claim(MINE)
        await ipam.release(MINE, ONE)
        await ipam.release(MINE, ONE)
        assert book.owners == {}
        assert ONE in book.free

    ask(body)


def test_no_answer_is_no_refusal(ask: Ask) -> None:
    async def body(ipam: ExternalIpam, book: ipam_server.Book) -> None:
        book.away = True
        with pytest.raises(errors.Unavailable):
            await ipam.claim(MINE)
        with pytest.raises(errors.Unavailable):
            await ipam.release(MINE, ONE)

    ask(body)


def test_over_http_a_wrong_token_and_a_server_that_is_not_there_are_told(tmp_path: Path) -> None:
    async def body() -> None:
        book = ipam_server.Book(["192.0.2.1"])
        async with ipam_server.serving(book, "other") as url:
            with pytest.raises(errors.Unauthorised):
                await HttpIpam(url, "").claim(MINE)
        with pytest.raises(errors.Unavailable):
            await HttpIpam(url, "").claim(MINE)
        with pytest.raises(errors.Unavailable, match="token"):
            await HttpIpam(url, str(tmp_path / "token")).claim(MINE)

    event_loops.run(body())
