"""Rate limiting by what reaches which client, second by second."""

import pytest

import nameserver_builders as nb
from lbctl_dns import edns, limit, wire, zone

KUARD = "kuard.default.lb.example"
RECORDS = (
    *nb.sets(KUARD, "192.0.2.10", "2001:db8::10"),
    *nb.sets("other.lb.example", "192.0.2.11"),
    *nb.sets("*.apps.lb.example", "192.0.2.12"),
)
RULES = limit.Rules(per_s=3, slip=2, window_s=4)
VICTIM = "198.51.100.7"


def responder(rules: limit.Rules = RULES) -> limit.Responder:
    found = limit.Responder(nb.table_of(*RECORDS), edns.Clerk(b"k" * 16), rules)
    found.clerk.tick(1000)
    return found


def flood(answering: limit.Responder, count: int, query: bytes, client: str = VICTIM) -> str:
    """Ask so often; return `a` for an answer, `t` for a truncated one, `.` for silence."""
    seen = ""
    for _ in range(count):
        reply = answering.answer(query, wire.UDP, client)
        seen += "." if reply is None else "t" if reply[2] & 2 else "a"
    return seen


QUERY = nb.query(KUARD)


def test_over_the_rate_every_second_reply_says_ask_by_tcp() -> None:
    assert flood(responder(), 9, QUERY) == "aaa.t.t.t"


@pytest.mark.parametrize(("slip", "seen"), [(0, "aaa...."), (1, "aaatttt"), (3, "aaa..t.")])
def test_slip_says_which_replies_are_short_ones(slip: int, seen: str) -> None:
    assert flood(responder(limit.Rules(3, slip, 4)), 7, QUERY) == seen


def test_a_flood_must_rest_for_the_window_at_most() -> None:
    accounts = limit.Accounts(RULES)
    while accounts.take(b"flood", 1000):
        pass
    for _ in range(1000):
        accounts.owe(b"flood")
    taken = [accounts.take(b"flood", now) for now in (1001, 1002, 1003, 1004, 1005)]
    assert taken == [False, False, False, False, True]


def test_a_flood_that_does_not_rest_stays_limited() -> None:
    answering = responder(limit.Rules(3, 0, 4))
    assert "a" in flood(answering, 100, QUERY)
    for now in range(1001, 1060):
        answering.clerk.tick(now)
        assert "a" not in flood(answering, 100, QUERY)


def test_a_slow_client_is_never_limited() -> None:
    answering = responder()
    for now in range(1000, 1100):
        answering.clerk.tick(now)
        assert flood(answering, 3, QUERY) == "aaa"


def test_a_clock_that_goes_back_stops_nobody_for_good() -> None:
    answering = responder()
    flood(answering, 3, QUERY)
    answering.clerk.tick(10)
    flood(answering, 1, QUERY)
    answering.clerk.tick(12)
    assert flood(answering, 3, QUERY) == "aaa"


@pytest.mark.parametrize(
    ("other", "shares"),
    [
        (("198.51.100.200", QUERY), True),
        (("198.51.101.7", QUERY), False),
        ((VICTIM, nb.query(KUARD.upper())), True),
        ((VICTIM, nb.query(KUARD, zone.AAAA)), False),
        ((VICTIM, nb.query("other.lb.example")), False),
        ((VICTIM, nb.query("no.lb.example")), False),
    ],
)
def test_an_account_is_one_network_and_one_kind_of_answer(
    other: tuple[str, bytes], shares: bool
) -> None:
    answering = responder()
    flood(answering, 3, QUERY)
    client, query = other
    assert flood(answering, 1, query, client) == ("." if shares else "a")


def test_a_56_is_one_network() -> None:
    answering = responder()
    flood(answering, 3, QUERY, "2001:db8:1:200::1")
    assert flood(answering, 1, QUERY, "2001:db8:1:2ff:5::9%eth0") == "."
    assert flood(answering, 1, QUERY, "2001:db8:1:300::1") == "a"


VARIED = {
    "names that do not exist": [nb.query(f"no-{n}.{n}.lb.example") for n in range(50)],
    "names of a wildcard": [nb.query(f"x-{n}.apps.lb.example") for n in range(50)],
    "types that a name has not": [nb.query(KUARD, 300 + n) for n in range(50)],
    "names of others": [nb.query(f"{n}.example.org") for n in range(50)],
    "spellings": [nb.query(KUARD[:n] + KUARD[n:].upper()) for n in range(20)],
    "ANY": [nb.query(KUARD, zone.ANY)] * 20,
    "later versions of EDNS": [
        nb.query(f"{n}.lb.example", opt=edns.render()[:6] + b"\1" + edns.render()[7:])
        for n in range(20)
    ],
}


@pytest.mark.parametrize("what", VARIED)
def test_variation_evades_no_limit(what: str) -> None:
    answering = responder(limit.Rules(3, 0, 4))
    seen = "".join(flood(answering, 1, query) for query in VARIED[what])
    assert seen == "a" * 3 + "." * (len(seen) - 3)


def test_errors_without_a_question_are_dropped_and_never_slip() -> None:
    broken = QUERY[:-1]
    assert flood(responder(limit.Rules(3, 1, 4)), 6, broken) == "aaa..."


def test_a_client_with_a_cookie_of_ours_is_never_limited() -> None:
    answering = responder()
    first = nb.query(KUARD, opt=edns.render(options=b"\0\x0a\0\x08clientck"))
    reply = answering.answer(first, wire.UDP, VICTIM)
    assert reply is not None
    own = nb.query(KUARD, opt=edns.render(options=b"\0\x0a\0\x18" + reply[-24:]))
    assert flood(answering, 4, QUERY) == "aa.t"
    assert flood(answering, 20, own) == "a" * 20
    assert "a" not in flood(answering, 20, own, "198.51.100.8")
    answering.clerk.tick(1000 + 3600)
    flood(answering, 3, QUERY)
    assert flood(answering, 2, own) == "aa"
    answering.clerk.tick(1000 + 3601)
    flood(answering, 3, QUERY)
    assert "a" not in flood(answering, 2, own)


def test_a_reply_that_slips_keeps_question_opt_and_cookie() -> None:
    query = nb.query(KUARD, opt=edns.render(options=b"\0\x0a\0\x08clientck"))
    answering = responder(limit.Rules(1, 1, 4))
    whole, short = (answering.answer(query, wire.UDP, VICTIM) for _ in range(2))
    assert whole is not None
    assert short is not None
    question = query[12 : 12 + len(KUARD) + 6]
    assert short == query[:2] + b"\x86\0\0\1\0\0\0\0\0\1" + question + whole[-39:]


def test_exempt_networks_are_never_limited() -> None:
    answering = responder(limit.Rules(3, 2, 4, ("198.51.100.0/25", "2001:db8::/32")))
    for client, free in ((VICTIM, True), ("198.51.100.128", False), ("2001:db8::1", True)):
        assert (flood(answering, 20, QUERY, client) == "a" * 20) is free


def test_what_is_withheld_is_counted() -> None:
    answering = responder()
    flood(answering, 10, QUERY)
    counts = answering.tally.counts()
    assert (counts.slipped, counts.dropped) == (3, 4)


def test_memory_is_bounded_whoever_asks() -> None:
    accounts = limit.Accounts(RULES)
    for number in range(5 * limit.ACCOUNTS):
        assert accounts.take(number.to_bytes(4), 1000)
        assert len(accounts) <= 2 * limit.ACCOUNTS


def test_an_account_in_use_outlives_a_flood_of_others() -> None:
    accounts = limit.Accounts(limit.Rules(1, 0, 4))
    assert accounts.take(b"victim", 1000)
    for number in range(3 * limit.ACCOUNTS):
        accounts.take(number.to_bytes(4), 1000)
        if number % 1000 == 0:
            assert not accounts.take(b"victim", 1000)


def test_silence_stays_silence() -> None:
    assert responder().answer(b"\0" * 11, wire.UDP, VICTIM) is None


def test_rules_survive_the_command_line() -> None:
    rules = limit.Rules(20, 2, 15, ("192.0.2.0/24", "2001:db8::/32"))
    assert limit.parse(rules.render()) == rules
    assert limit.parse(RULES.render()) == RULES
