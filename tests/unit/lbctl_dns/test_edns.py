import pytest

import nameserver_builders as nb
from lbctl_dns import edns, wire

SECRET = b"k" * 16


def block(size: int = 1232, version: int = 0, flags: int = 0, options: bytes = b"") -> bytes:
    fixed = size.to_bytes(2) + bytes((0, version)) + flags.to_bytes(2)
    return b"\0\0\x29" + fixed + len(options).to_bytes(2) + options


def ask(opt: bytes, responder: wire.Responder | None = None, client: str = "192.0.2.1") -> bytes:
    query = nb.query("kuard.default.lb.example", opt=opt)
    records = nb.sets("kuard.default.lb.example", "192.0.2.10")
    reply = (responder or nb.responder(*records)).answer(query, wire.UDP, client)
    assert reply is not None
    return reply


def test_an_opt_is_answered_only_where_one_was_sent() -> None:
    with_opt, without = ask(block()), ask(b"")
    assert with_opt[10:12] == b"\0\1"
    assert without[10:12] == b"\0\0"
    assert with_opt.endswith(edns.render())


@pytest.mark.parametrize(("flags", "answered"), [(0x0080, 0), (0x8000, 0x8000), (0xFFFF, 0x8000)])
def test_of_the_edns_flags_only_do_is_copied(flags: int, answered: int) -> None:
    assert int.from_bytes(ask(block(flags=flags))[-4:-2]) == answered


def test_options_are_never_echoed() -> None:
    reply = ask(block(options=b"\0\x64\0\x02ab"))
    assert reply.endswith(edns.render())


def test_a_later_version_is_refused_with_question_and_version_0() -> None:
    query = nb.query("lb.example", opt=block(version=1))
    reply = nb.responder().answer(query, wire.UDP, "")
    assert reply is not None
    assert reply[2:12] == b"\x80\0\0\1\0\0\0\0\0\1"
    assert reply[12:] == query[12:-11] + edns.render(extended_rcode=1)


@pytest.mark.parametrize("length", [1, 7, 9, 15, 41])
def test_a_cookie_of_wrong_length_is_malformed(length: int) -> None:
    options = b"\0\x0a" + length.to_bytes(2) + b"c" * length
    assert ask(block(options=options))[3] & 15 == 1


def test_a_cookie_comes_back_with_ours_behind_it() -> None:
    reply = ask(block(options=b"\0\x0a\0\x08clientck"))
    cookie = reply[-24:]
    assert reply[-28:-24] == b"\0\x0a\0\x18"
    assert cookie.startswith(b"clientck\x01\0\0\0")
    again = ask(block(options=b"\0\x0a\0\x18" + cookie))
    assert (again[3] & 15, again[-24:]) == (0, cookie)


def test_a_cookie_belongs_to_one_client_and_one_secret() -> None:
    options = block(options=b"\0\x0a\0\x08clientck")
    other = wire.Responder(nb.table_of(), edns.Clerk(b"another secret.."))
    seen = {ask(options), ask(options, client="192.0.2.2"), ask(options, other)}
    assert len({reply[-8:] for reply in seen}) == 3


def test_the_clerk_forgets_rather_than_grows() -> None:
    clerk = edns.Clerk(SECRET)
    for size in range(3000):
        assert clerk.opt(block(size), "") == (size, edns.render())


def test_many_options_are_malformed_before_they_cost_anything() -> None:
    assert edns.parse(block(options=b"\0\x64\0\0" * 32)) is not None
    assert edns.parse(block(options=b"\0\x64\0\0" * 33)) is None


def test_a_cookie_among_other_options_gets_the_same_answer() -> None:
    alone = ask(block(flags=0x8000, options=b"\0\x0a\0\x08clientck"))
    among = ask(block(flags=0x8000, options=b"\0\x64\0\1x\0\x0a\0\x08clientck\0\3\0\0"))
    assert alone == among
    assert alone[-39:-28] == edns.render(dnssec_ok=True, options=bytes(28))[:11]


@pytest.mark.parametrize("broken", [b"", b"\0\0\x2a" + bytes(8), block()[:-1] + b"\1"])
def test_what_is_no_opt_is_malformed(broken: bytes) -> None:
    assert edns.parse(broken) is None


def test_a_cookie_carries_the_time_of_its_tick() -> None:
    responder = nb.responder()
    responder.clerk.tick(0x01020304)
    reply = ask(block(options=b"\0\x0a\0\x08clientck"), responder)
    assert reply[-12:-8] == b"\1\2\3\4"


def test_a_remembered_cookie_is_one_clients_and_one_seconds() -> None:
    clerk = edns.Clerk(SECRET)
    lone = block(options=b"\0\x0a\0\x08clientck")
    given = {}
    for now_s, client in ((1, "192.0.2.1"), (1, "192.0.2.2"), (2, "192.0.2.1")):
        clerk.tick(now_s)
        first, again = clerk.opt(lone, client), clerk.opt(lone, client)
        assert first == again
        given[now_s, client] = first
    assert len(set(given.values())) == 3


def test_cookies_of_many_clients_are_forgotten_rather_than_kept() -> None:
    clerk = edns.Clerk(SECRET)
    lone = block(options=b"\0\x0a\0\x08clientck")
    answers = {clerk.opt(lone, f"192.0.2.{number}") for number in range(5000)}
    assert len(answers) == 5000
