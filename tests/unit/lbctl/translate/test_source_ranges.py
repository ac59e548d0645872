"""Who may connect: the field, upstream's annotation, and what is wrong in them."""

import pytest

from lbctl.translate.annotations import SOURCE_RANGES
from lbctl.translate.source_ranges import SourceRanges, read_source_ranges


def ranges(*texts: str, annotation: str | None = None) -> SourceRanges:
    noted = {} if annotation is None else {SOURCE_RANGES: annotation}
    return read_source_ranges(noted, {"loadBalancerSourceRanges": list(texts)} if texts else {})


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("203.0.113.0/24", "203.0.113.0/24"),
        (" 203.0.113.7/24 ", "203.0.113.0/24"),
        ("010.008.0.09/8", "10.0.0.0/8"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("203.0.113.7/32", "203.0.113.7/32"),
        ("2001:DB8::/32", "2001:db8::/32"),
        ("::/0", "::/0"),
    ],
)
def test_what_the_api_server_takes_is_made_canonical(text: str, canonical: str) -> None:
    assert ranges(text) == SourceRanges((canonical,), ())


@pytest.mark.parametrize(
    "text", ["kuard", "203.0.113.7", "203.0.113.0/33", "10.0.0.0/255.0.0.0", "10..0.0/8",
             "fe80::%eth0/64", "1.2.3.4/٣٢0", ""],
)  # fmt: skip
def test_what_does_not_parse_stays_as_it_stands_and_is_named(text: str) -> None:
    found = ranges(text, "203.0.113.0/24")
    assert found.texts == (text, "203.0.113.0/24")
    assert found.faults == (f"spec.loadBalancerSourceRanges: {text!r} is not a CIDR",)


def test_each_stands_once_in_the_order_given() -> None:
    assert ranges("198.51.100.0/24", "10.1.2.3/8", "10.0.0.0/8").texts == (
        "198.51.100.0/24",
        "10.0.0.0/8",
    )


def test_without_a_word_everybody_may() -> None:
    assert ranges() == SourceRanges((), ())
    assert ranges(annotation=" ") == SourceRanges((), ())


def test_the_annotation_counts_where_the_field_is_empty() -> None:
    assert ranges(annotation=" 10.0.0.0/8, 2001:db8::/32 ").texts == ("10.0.0.0/8", "2001:db8::/32")
    assert ranges("192.0.2.0/24", annotation="10.0.0.0/8").texts == ("192.0.2.0/24",)
    assert ranges(annotation="x").faults == (f"annotation {SOURCE_RANGES}: 'x' is not a CIDR",)
