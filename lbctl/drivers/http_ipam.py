"""An external IPAM over HTTP: one resource per owner, put to claim and deleted to release.

docs/how-to/external-ipam.md describes what the other side has to answer.
"""

import ipaddress
from pathlib import Path
from urllib.parse import quote

import httpx
import pydantic

from lbctl.ipam.port import Claim
from lbctl.model import errors
from lbctl.model.reasons import Reason, Refused
from lbctl.model.virtual_service import Address

TIMEOUT_S = 10.0
REFUSALS = frozenset({404, 409, 422})


class _Given(pydantic.BaseModel):
    address: pydantic.IPvAnyAddress


class HttpIpam:
    """Claims and releases; the token is read at each call, so that it may be renewed."""

    def __init__(self, url: str, token_file: str) -> None:
        self._url = url.rstrip("/")
        self._token_file = Path(token_file) if token_file else None

    async def claim(self, claim: Claim) -> Address | Refused:
        """Return the address of an owner, or why there is none. Raises Retryable, Permanent."""
        asked = {"pool": claim.pool, "wanted": claim.wanted, "shown": claim.shown}
        body = {key: str(value) for key, value in asked.items() if value}
        answer = await self._call("PUT", claim, body)
        if answer.status_code in REFUSALS:
            return Refused(Reason.ADDRESS_AWAITED, f"the IPAM of {claim.pool} says: {_why(answer)}")
        try:
            given = _Given.model_validate_json(answer.content)
        except pydantic.ValidationError as error:
            raise errors.Unavailable(f"{self._url}: the answer names no address") from error
        return ipaddress.ip_address(str(given.address))

    async def release(self, claim: Claim, address: Address) -> None:
        """Take an address back. Raises Retryable, Permanent."""
        await self._call("DELETE", claim, {"address": str(address)})

    async def _call(self, method: str, claim: Claim, body: dict[str, str]) -> httpx.Response:
        owner = (claim.cluster, *claim.service.split("/", 1), f"ipv{claim.family}")
        path = "/".join(quote(part, safe="") for part in owner)
        headers = {}
        try:
            if self._token_file is not None:
                headers["Authorization"] = f"Bearer {self._token_file.read_text().strip()}"
            # A connection of its own for each call: they are rare, and none has to be closed later.
            async with httpx.AsyncClient(timeout=TIMEOUT_S, headers=headers) as client:
                answer = await client.request(method, f"{self._url}/claims/{path}", json=body)
        except (httpx.HTTPError, OSError) as error:
            reason = str(error) or type(error).__name__
            raise errors.Unavailable(f"{self._url}: {reason}") from error
        if answer.status_code in (401, 403):
            raise errors.Unauthorised(f"{self._url}: {answer.status_code}")
        if answer.is_success or answer.status_code in REFUSALS:
            return answer
        raise errors.Unavailable(f"{self._url}: status {answer.status_code}")


def _why(answer: httpx.Response) -> str:
    """Return what the other side says of its refusal, in one line."""
    return " ".join(answer.text.split())[:200] or f"status {answer.status_code}"
