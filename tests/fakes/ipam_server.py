"""An IPAM as somebody may have one: docs/how-to/external-ipam.md, in as few lines as it takes."""

import contextlib
import ipaddress
from collections.abc import AsyncIterator, Sequence

from aiohttp import web

from lbctl.ipam.port import Claim
from lbctl.model import errors
from lbctl.model.reasons import Reason, Refused
from lbctl.model.virtual_service import Address


class Book:
    """Who has which address; owners are any words. It is an external IPAM itself, in memory."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.free = [ipaddress.ip_address(text) for text in addresses]
        self.owners: dict[str, Address] = {}
        self.away = False
        """Answer nothing."""
        self.calls: list[str] = []

    def give(self, owner: str, family: int, wanted: str = "") -> Address | None:
        """Return the owner's address, the wanted one or the first free one; None: there is none."""
        fits = [
            entry for entry in self.free if entry.version == family and wanted in ("", str(entry))
        ]
        if owner not in self.owners and fits:
            self.free.remove(fits[0])
            self.owners[owner] = fits[0]
        return self.owners.get(owner)

    def take(self, owner: str) -> None:
        """Take back what an owner has."""
        if owner in self.owners:
            self.free.append(self.owners.pop(owner))

    async def claim(self, claim: Claim) -> Address | Refused:
        self._note("claim", claim)
        given = self.give(_owner(claim), claim.family, str(claim.wanted or ""))
        return given or Refused(Reason.ADDRESS_AWAITED, "none left")

    async def release(self, claim: Claim, address: Address) -> None:
        self._note("release", claim)
        self.take(_owner(claim))

    def _note(self, verb: str, claim: Claim) -> None:
        if self.away:
            raise errors.Unavailable("away")
        self.calls.append(f"{verb} {_owner(claim)}")


def _owner(claim: Claim) -> str:
    return f"{claim.cluster}/{claim.service}/ipv{claim.family}"


@contextlib.asynccontextmanager
async def serving(book: Book, token: str) -> AsyncIterator[str]:
    """Serve the book over HTTP on the loopback; return the URL."""

    async def claims(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {token}":
            return web.Response(status=401)
        if book.away:
            return web.Response(status=503)
        owner = request.match_info["owner"]
        book.calls.append(f"{'claim' if request.method == 'PUT' else 'release'} {owner}")
        if request.method == "DELETE":
            book.take(owner)
            return web.Response(status=204)
        wanted = str((await request.json()).get("wanted", ""))
        given = book.give(owner, int(owner[-1]), wanted)
        if given is None:
            return web.Response(status=409, text="none left")
        return web.json_response({"address": str(given)})

    made = web.Application()
    made.router.add_route("*", "/v1/claims/{owner:.+}", claims)
    runner = web.AppRunner(made)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        await runner.cleanup()
