import asyncio
import contextlib
import socket

import pytest

from lbctl.model import errors
from lbctl_dns import listening, succession


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("192.0.2.1:5353", "192.0.2.1", 5353),
        ("192.0.2.1", "192.0.2.1", 53),
        ("[2001:db8::1]:5353", "2001:db8::1", 5353),
        ("[2001:db8::1]", "2001:db8::1", 53),
        ("2001:db8::1", "2001:db8::1", 53),
    ],
)
def test_a_place_is_an_address_and_a_port(text: str, host: str, port: int) -> None:
    assert listening.parse(text) == listening.Place(host, port)


@pytest.mark.parametrize("text", ["", "name:53", "192.0.2.1:x", "192.0.2.1:0", "192.0.2.1:65536"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"port|address|invalid literal"):
        listening.parse(text)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


@pytest.mark.parametrize("workers", [1, 2])
def test_every_worker_gets_udp_and_tcp_of_every_place(workers: int) -> None:
    port = free_port()
    places = (listening.Place("127.0.0.1", port), listening.Place("::1", port))
    opened = asyncio.run(listening.open_all(places, workers))
    with contextlib.ExitStack() as stack:
        for sock in (sock for one in opened for sock in one):
            stack.enter_context(sock)
        assert [len(one) for one in opened] == [4] * workers


@pytest.mark.parametrize("workers", [1, 2])
def test_a_port_in_use_is_an_error_that_names_it(workers: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = listening.Place("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(errors.Misconfigured, match=str(place)):
            asyncio.run(listening.open_all((place,), workers))


def test_a_successor_shows_as_another_socket_on_the_same_address() -> None:
    port = free_port()
    places = (listening.Place("127.0.0.1", port), listening.Place("::1", port))
    with contextlib.ExitStack() as stack:

        def datagrams(kept: tuple[listening.Place, ...]) -> list[socket.socket]:
            (opened,) = asyncio.run(listening.open_all(kept, 1))
            for sock in opened:
                stack.enter_context(sock)
                if sock.type == socket.SOCK_STREAM:
                    sock.close()
            return [sock for sock in opened if sock.type == socket.SOCK_DGRAM]

        old = datagrams(places)
        known = succession.sharers(old)
        assert len(known) == 2
        datagrams((listening.Place("127.0.0.1", free_port()),))
        assert succession.sharers(old) == known
        datagrams(places[1:])
        assert len(succession.sharers(old) - known) == 1
