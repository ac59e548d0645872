"""What users ask for names by annotation, and what operators allow by settings. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from lbctl.model.hostnames import AtZero, SuffixRule, parse_host
from lbctl.model.reasons import Reason, Refused
from lbctl.settings_names import SuffixSettings
from lbctl.translate import annotations as table
from lbctl.translate import durations
from lbctl.translate.annotations import Annotation
from lbctl.translate.pools import selector_of

T = TypeVar("T")
MAX_HOSTS = 32
"""Host names of one Service; what is beyond is refused."""
_WORDS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class HostWish:
    """One host name that a Service asks for."""

    host: str
    annotation: str
    """Where it says so."""

    @property
    def is_own(self) -> bool:
        """Tell whether it is asked of us; by an alias it may be meant for somebody else."""
        return self.annotation == table.HOSTNAMES.own


@dataclass(frozen=True, slots=True)
class NameWishes:
    """What one Service asks for about its names; None where it says nothing."""

    hosts: tuple[HostWish, ...] = ()
    """In the order of the annotation, each once."""
    named: bool | None = None
    """Whether it is to have names at all."""
    ttl_s: int | None = None
    at_zero: AtZero | None = None
    faults: tuple[Refused, ...] = ()
    """What does not parse; the rest counts."""


def read_names(annotations: Mapping[str, str]) -> NameWishes:
    """Return what a Service with these annotations asks for about its names."""
    faults: list[Refused] = []
    hosts = dict.fromkeys(_hosts(annotations, faults))
    return NameWishes(
        hosts=tuple(hosts),
        named=_word(table.DNS, annotations, _WORDS, faults),
        ttl_s=_ttl_s(annotations, faults),
        at_zero=_word(table.AT_ZERO, annotations, {one.value: one for one in AtZero}, faults),
        faults=tuple(faults),
    )


def suffix_rules(entries: Iterable[SuffixSettings]) -> tuple[SuffixRule, ...]:
    """Return who may have names where, as the settings say it."""
    return tuple(
        SuffixRule(
            entry.suffix.rstrip("."),
            frozenset(entry.namespaces),
            tuple(selector_of(found) for found in entry.namespace_selectors),
        )
        for entry in entries
    )


def _hosts(annotations: Mapping[str, str], faults: list[Refused]) -> Iterator[HostWish]:
    said = [
        (key, part)
        for key, text in table.HOSTNAMES.said(annotations)
        for part in text.split(",")
        if part.strip()
    ]
    for key, part in said[:MAX_HOSTS]:
        try:
            yield HostWish(parse_host(part), key)
        except ValueError as error:
            faults.append(Refused(Reason.HOSTNAME_MALFORMED, f"annotation {key}: {error}"))
    if len(said) > MAX_HOSTS:
        detail = f"annotation {said[0][0]}: more than {MAX_HOSTS} names, the first ones count"
        faults.append(Refused(Reason.HOSTNAME_MALFORMED, detail))


def _word(
    annotation: Annotation,
    annotations: Mapping[str, str],
    words: Mapping[str, T],
    faults: list[Refused],
) -> T | None:
    for key, text in annotation.said(annotations):
        if text.lower() in words:
            return words[text.lower()]
        detail = f"annotation {key}: {text!r} is none of {', '.join(words)}"
        faults.append(Refused(Reason.NAME_SETTING_MALFORMED, detail))
    return None


def _ttl_s(annotations: Mapping[str, str], faults: list[Refused]) -> int | None:
    for key, text in table.TTL.said(annotations):
        seconds = durations.parse_seconds(text)
        if seconds is not None:
            return seconds
        detail = f"annotation {key}: {text!r} is neither seconds nor a duration such as 1m30s"
        faults.append(Refused(Reason.NAME_SETTING_MALFORMED, detail))
    return None
