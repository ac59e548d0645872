"""The command `lbctl dns query`: what a server answers, as text or JSON."""

import ipaddress
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lbctl.runtime.options import config_option

if TYPE_CHECKING:
    from lbctl_dns import asking, listening, replies

ANSWERED, DENIED, FAILED = 0, 1, 2
"""Exit codes: records came; the name or type does not exist; no answer, or an error."""


@click.command()
@click.argument("name")
@click.argument("rtype", metavar="[TYPE]", default="")
@config_option
@click.option(
    "--server",
    envvar="LBCTL_DNS",
    metavar="ADDR:PORT",
    help="Who is asked; else $LBCTL_DNS, else the first of nameservice.nsAddresses.",
)
@click.option("--tcp", "by_tcp", is_flag=True, help="Ask over TCP; else UDP, and TCP if need be.")
@click.option("-o", "--output", type=click.Choice(("text", "json")), default="text")
def query(
    name: str,
    rtype: str,
    config: Path | None,
    server: str | None,
    by_tcp: bool,
    output: str,
) -> None:
    """Ask a DNS server for NAME, an address stands for its PTR record; TYPE is A by default.

    Exits with 0 when records came, 1 when there are none (NXDOMAIN, no data), 2 when nobody
    answered or the answer is an error.
    """
    # Imported here: `lbctl --help` needs none of it.
    import asyncio

    from lbctl_dns import asking

    asked = _question(name, rtype)
    place = _place(server, config)
    try:
        answer, soa = asyncio.run(_asked(place, asked, by_tcp))
    except asking.NoAnswer as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(FAILED)
    click.echo(_json(answer, soa) if output == "json" else _text(answer, soa))
    sys.exit(exit_code(answer.reply))


def exit_code(reply: "replies.Reply") -> int:
    """Return what the command ends with."""
    if reply.status not in {"NOERROR", "NXDOMAIN"}:
        return FAILED
    return ANSWERED if reply.answer and reply.status == "NOERROR" else DENIED


def _question(name: str, rtype: str) -> "asking.Question":
    from lbctl_dns import asking, names, replies

    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        pass
    else:
        name, rtype = address.reverse_pointer, rtype or "PTR"
    try:
        return asking.Question(names.to_wire(name), replies.parse_type(rtype or "A"))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="NAME [TYPE]") from error


def _place(server: str | None, config: Path | None) -> "listening.Place":
    from lbctl.model import errors
    from lbctl.runtime import config_file
    from lbctl_dns import listening

    try:
        found = server or next(iter(config_file.load(config).nameservice.ns_addresses), "")
        if found:
            return listening.parse(found)
    except errors.Misconfigured as error:
        raise click.ClickException(str(error)) from error
    except ValueError as error:
        raise click.BadParameter(f"{found}: {error}", param_hint="--server") from error
    raise click.UsageError("nobody to ask: give --server, $LBCTL_DNS or --config with nsAddresses")


async def _asked(
    place: "listening.Place", asked: "asking.Question", by_tcp: bool
) -> "tuple[asking.Answer, replies.Record | None]":
    """Return the answer and the SOA of its zone, asked for if the answer did not bring it."""
    from lbctl_dns import asking, zone

    answer = await asking.ask(place, asked, by_tcp=by_tcp)
    if answer.soa is not None or exit_code(answer.reply) == FAILED:
        return answer, answer.soa
    try:
        of_zone = await asking.ask(place, asking.Question(asked.name, zone.SOA), by_tcp=by_tcp)
    except asking.NoAnswer:
        return answer, None
    return answer, of_zone.soa


def _text(answer: "asking.Answer", soa: "replies.Record | None") -> str:
    reply = answer.reply
    flags = " ".join(reply.flags)
    lines = [
        f";; {reply.status}, flags {flags}, from {answer.place} by {answer.transport}"
        f" in {answer.took_ms:.1f} ms"
    ]
    if soa is not None:
        lines.append(f";; zone {soa.name}, serial {_serial(soa)}")
    lines += map(_line, reply.answer)
    for title, section in (("authority", reply.authority), ("additional", reply.additional)):
        if section:
            lines += [f";; {title}", *map(_line, section)]
    return "\n".join(lines)


def _line(one: "replies.Record") -> str:
    from lbctl_dns import replies

    return f"{one.name}\t{one.ttl_s}\tIN\t{replies.type_name(one.rtype)}\t{one.content}"


def _serial(soa: "replies.Record") -> int:
    return int(soa.content.split()[2])


def _json(answer: "asking.Answer", soa: "replies.Record | None") -> str:
    reply = answer.reply
    shown = {
        "server": str(answer.place),
        "transport": answer.transport,
        "milliseconds": round(answer.took_ms, 3),
        "status": reply.status,
        "flags": reply.flags,
        "zone": soa and soa.name,
        "serial": soa and _serial(soa),
        "answer": _records(reply.answer),
        "authority": _records(reply.authority),
        "additional": _records(reply.additional),
    }
    return json.dumps(shown, indent=2)


def _records(section: "tuple[replies.Record, ...]") -> list[dict[str, object]]:
    from lbctl_dns import replies

    return [
        {
            "name": one.name,
            "ttlSeconds": one.ttl_s,
            "type": replies.type_name(one.rtype),
            "data": one.content,
        }
        for one in section
    ]
