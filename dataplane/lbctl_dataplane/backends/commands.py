"""Run the command-line tools of the switch and the kernel; every failure is Unavailable."""

import asyncio
import contextlib

from lbctl.model import errors

TIMEOUT_S = 10.0


async def run(*argv: str, stdin: str = "", timeout_s: float = TIMEOUT_S) -> str:
    """Return what the command printed. Raises Unavailable with its complaint, or when it hangs."""
    try:
        child = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except FileNotFoundError as error:
        raise errors.Unavailable(
            f"{argv[0]} is not installed (Debian: {_package(argv[0])})"
        ) from error
    try:
        async with asyncio.timeout(timeout_s):
            out, complaint = await child.communicate(stdin.encode())
    except TimeoutError as error:
        raise errors.Unavailable(f"{' '.join(argv)}: no end after {timeout_s:g} s") from error
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
    if child.returncode:
        text = complaint.decode(errors="replace").strip()
        raise errors.Unavailable(f"{' '.join(argv)}: {text[:2000]}")
    return out.decode(errors="replace")


def _package(command: str) -> str:
    packages = {"nft": "nftables", "conntrack": "conntrack"}
    packages |= dict.fromkeys(("ip", "bridge"), "iproute2")
    return packages.get(command, "openvswitch-switch")
