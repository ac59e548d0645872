from collections.abc import Callable

from lbctl_dns import edns, table

_Denials = tuple[table.Heads, table.Heads]

def drain(
    fd: int,
    known: table.Table,
    clerk: edns.Clerk,
    denials: _Denials,
    limits: tuple[int, int],
    aside: Callable[[bytes, str, int], bytes | None],
    /,
) -> tuple[int, int]: ...
def answer(
    query: bytes,
    host: str,
    known: table.Table,
    clerk: edns.Clerk,
    denials: _Denials,
    limits: tuple[int, int],
    /,
) -> bytes | None: ...
