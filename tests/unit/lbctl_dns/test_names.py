import pytest

from lbctl_dns import names


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        ("a.b", b"\1a\1b\0"),
        ("A.b.", b"\1a\1b\0"),
        (".", b"\0"),
        ("", b"\0"),
        ("*.apps", b"\1*\4apps\0"),
        ("x" * 63, b"\x3f" + b"x" * 63 + b"\0"),
    ],
)
def test_a_host_name_becomes_lower_case_wire_form(text: str, wire: bytes) -> None:
    assert names.to_wire(text) == wire


@pytest.mark.parametrize("text", ["a..b", ".a", "x" * 64, "é.b", ".".join(["x" * 63] * 4)])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"label|name|ASCII"):
        names.to_wire(text)


def test_text_form_escapes_what_zone_files_would_misread() -> None:
    assert names.to_text(b"\4a.b\x07\3lb \0") == r"a\.b\007.lb\032."
    assert names.to_text(names.ROOT) == "."


@pytest.mark.parametrize(
    ("name", "inside"),
    [("lb.test", True), ("a.lb.test", True), ("alb.test", False), ("test", False)],
)
def test_within_is_by_label_and_not_by_letter(name: str, inside: bool) -> None:
    assert names.is_within(names.to_wire(name), names.to_wire("lb.test")) is inside


def test_a_label_that_holds_the_origin_as_bytes_is_not_within() -> None:
    origin = names.to_wire("lb")
    assert not names.is_within(b"\x04x\2lb\0", origin)
