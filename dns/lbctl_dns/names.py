"""Domain names in wire form: lower-case bytes, each label led by its length. Pure.

Wire form is what queries carry, so nothing is converted on the way to an answer.
"""

from collections.abc import Iterator

ROOT = b"\0"
WILDCARD = b"\x01*"
MAX_NAME = 255
MAX_LABEL = 63


def to_wire(text: str) -> bytes:
    r"""Return a host name in lower-case wire form, with or without the final dot.

    Escapes are not understood: zone files go through `records`. Raises ValueError.

    >>> to_wire("kuard.Default.lb.test")
    b'\x05kuard\x07default\x02lb\x04test\x00'
    """
    try:
        labels = [label.encode("ascii") for label in text.lower().removesuffix(".").split(".")]
    except UnicodeEncodeError as error:
        raise ValueError(f"{text!r} is not ASCII") from error
    if text in {"", "."}:
        return ROOT
    return from_labels(labels)


def from_labels(labels: list[bytes]) -> bytes:
    """Return the wire form of labels, lower case. Raises ValueError when one does not fit."""
    wire = ROOT
    for label in reversed(labels):
        wire = below(label.lower(), wire)
    return wire


def below(label: bytes, above: bytes) -> bytes:
    """Return the name that a lower-case label makes below another one. Raises ValueError."""
    if not 0 < len(label) <= MAX_LABEL:
        raise ValueError(f"a label has 1 to {MAX_LABEL} bytes, not {len(label)}: {label!r}")
    wire = bytes((len(label),)) + label + above
    if len(wire) > MAX_NAME:
        raise ValueError(f"a name has at most {MAX_NAME} bytes, not {len(wire)}")
    return wire


def to_text(name: bytes) -> str:
    r"""Return a wire name for people, with the final dot and RFC 1035 escapes.

    >>> to_text(b'\x05kuard\x02lb\x00')
    'kuard.lb.'
    """
    parts = []
    while name != ROOT:
        parts.append("".join(_shown(byte) for byte in name[1 : 1 + name[0]]))
        name = name[1 + name[0] :]
    return ".".join(parts) + "."


def to_host(name: bytes) -> str:
    r"""Return a wire name as objects of the API server are called: without the final dot.

    >>> to_host(b'\x05kuard\x02lb\x00')
    'kuard.lb'
    """
    return to_text(name).removesuffix(".")


def _shown(byte: int) -> str:
    if byte in b'.\\"();@$':
        return "\\" + chr(byte)
    return chr(byte) if 0x21 <= byte <= 0x7E else f"\\{byte:03d}"


def parent(name: bytes) -> bytes:
    """Return the name without its first label; `name` is not the root."""
    return name[1 + name[0] :]


def lineage(name: bytes) -> Iterator[bytes]:
    """Yield the name, its parent and so on up to the root."""
    while name != ROOT:
        yield name
        name = name[1 + name[0] :]
    yield ROOT


def is_within(name: bytes, origin: bytes) -> bool:
    """Tell whether `name` is `origin` or below it, label by label."""
    return name.endswith(origin) and origin in lineage(name)
