"""What an HTTP monitor asks, and what it makes of answers."""

import ipaddress

import pytest

import monitor_builders as build
from lbctl.model.monitors import Failure, Kind
from lbctl_dataplane.monitors import answers

FOUR, SIX = ipaddress.ip_address("10.0.0.1"), ipaddress.ip_address("fd00::1")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"


def test_the_request_names_the_member_where_no_host_is_set() -> None:
    asked = answers.request(build.monitor(Kind.HTTP, path="/healthz"), SIX, 80).decode()
    assert asked.splitlines()[:2] == ["GET /healthz HTTP/1.1", "Host: [fd00::1]:80"]
    assert asked.endswith("Connection: close\r\n\r\n")


def test_a_host_of_its_own_is_sent_instead() -> None:
    asked = answers.request(build.monitor(Kind.HTTP, host="kuard.example"), FOUR, 80)
    assert b"\r\nHost: kuard.example\r\n" in asked


@pytest.mark.parametrize(
    ("head", "content", "failure"),
    [
        (OK, b"alive", None),
        (OK, b"dying", Failure.WRONG_BODY),
        (b"HTTP/1.0 204\r\n\r\n", b"alive", None),
        (b"HTTP/1.1 399 x\r\n\r\n", b"alive", None),
        (b"HTTP/1.1 400 Bad\r\n\r\n", b"alive", Failure.WRONG_CODE),
        (b"HTTP/1.1 500 Oops\r\n\r\n", b"alive", Failure.WRONG_CODE),
        (b"HTTP/2 200\r\n\r\n", b"alive", Failure.WRONG_ANSWER),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"alive", Failure.WRONG_ANSWER),
        (b"HTTP/1.1 2000 x\r\n\r\n", b"alive", Failure.WRONG_ANSWER),
    ],
)
def test_code_and_body_decide(head: bytes, content: bytes, failure: Failure | None) -> None:
    assert answers.verdict(build.monitor(Kind.HTTP, body="alive"), head, content) is failure


def test_the_body_may_be_of_a_length_or_in_chunks() -> None:
    assert (answers.length_of(OK), answers.is_chunked(OK)) == (5, False)
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
    assert (answers.length_of(chunked), answers.is_chunked(chunked)) == (None, True)


@pytest.mark.parametrize(("line", "size"), [(b"1a\r\n", 26), (b"0\r\n", 0), (b"5;x=y\r\n", 5)])
def test_a_chunk_tells_its_size(line: bytes, size: int) -> None:
    assert answers.chunk_size(line) == size


@pytest.mark.parametrize("line", [b"\r\n", b"-1\r\n", b"0x5\r\n", b"123456789\r\n"])
def test_what_is_no_size_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="size of a chunk"):
        answers.chunk_size(line)
