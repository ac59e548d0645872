"""As much of nftables as a node's table needs, in memory: strict about what is there already."""

import re
from collections.abc import Iterator

from lbctl_dataplane.rules.nft.layout import TABLE
from lbctl_dataplane.rules.tables import netlink, wire
from lbctl_dataplane.rules.tables.elements import Element, Ends, Table
from lbctl_dataplane.rules.tables.found import Found, slots_of

BATCH_BEGIN, BATCH_END = 16, 17
"""NFNL_MSG_BATCH_BEGIN and _END (linux/netfilter/nfnetlink.h)."""
COMMENT = re.compile(r' comment "([^"]*)"')


class Kernel:
    """Takes transactions about one table, and lists what came of them."""

    def __init__(self, table: Table = TABLE) -> None:
        self.homes: dict[str, dict[str, str]] = {}
        self._chains: dict[str, list[str]] = {}
        self._made = table
        self._chain = re.compile(rf"add chain {table.name} (\S+)(?: \{{ .*; \}})?")
        self._rule = re.compile(rf"add rule {table.name} (\S+) (.*)")
        self._home = re.compile(rf"add (?:set|map) {table.name} (\S+) \{{ .*; \}}")
        self._gone = re.compile(rf"delete chain {table.name} (\S+)")
        self._elements = re.compile(rf"(add|delete) element {table.name} (\S+) \{{ (.*) \}}")

    def apply(self, text: str) -> "Kernel":
        for line in text.splitlines():
            self._take(line)
        return self

    def _take(self, line: str) -> None:
        if line == f"delete table {self._made.name}":
            self.__init__(self._made)  # type: ignore[misc]
        elif found := self._elements.fullmatch(line):
            self._change(*found.groups())
        elif found := self._home.fullmatch(line):
            self.homes[found[1]] = {}
        elif found := self._gone.fullmatch(line):
            self._drop(found[1])
        elif found := self._chain.fullmatch(line):
            self._chains[found[1]] = []
        elif found := self._rule.fullmatch(line):
            self._chains[found[1]].append(found[2])
        elif line not in (
            f"add table {self._made.name}",
            f"add counter {self._made.name} {self._made.counter}",
        ):
            raise ValueError(f"syntax error: {line}")

    def _drop(self, name: str) -> None:
        ends = (end for elements in self.homes.values() for end in elements.values())
        if any(end.split()[-1:] == [name] for end in ends):
            raise ValueError(f"delete chain {name}: busy")
        del self._chains[name]

    def _change(self, verb: str, home: str, listed: str) -> None:
        for text in listed.split(", "):
            key, value = _parted(text)
            there = key in self.homes[home]
            if there is (verb == "add"):
                raise ValueError(f"{verb} {key}: {'exists' if there else 'no such element'}")
            if value.startswith("jump ") and value.split()[1] not in self._chains:
                raise ValueError(f"{verb} {key}: no such chain")
            if verb == "add":
                self.homes[home][key] = value
            else:
                del self.homes[home][key]

    def take(self, batch: bytes) -> "Kernel":
        """Take a transaction as it comes over netlink."""
        for verb, home, listed in changes_in(batch, self._made):
            for key, value in listed:
                self._change(verb, home, f"{key} : {value}" if value else key)
        return self

    def table(self) -> dict[Element, Ends] | None:
        """Return what is read back of it."""
        found = Found(self._made)
        for chain, rules in self._chains.items():
            found.chain(chain)
            for rule in rules:
                comment = COMMENT.search(rule)
                found.rule(chain, comment[1] if comment else "")
        for home, elements in self.homes.items():
            found.home(home)
            for key, end in elements.items():
                if slots_of(home):
                    place, _, slot = key.rpartition(" . ")
                    found.slot(home, place, int(slot), end)
                else:
                    found.element(home, key, end)
        return found.elements()


def changes_in(batch: bytes, table: Table) -> Iterator[tuple[str, str, list[tuple[str, str]]]]:
    """Yield what a transaction adds to or deletes from which set: keys with where they lead to."""
    verbs = {netlink.NEW_ELEMENTS: "add", netlink.DELETE_ELEMENTS: "delete"}
    begin, *changes, end = netlink.messages(batch)
    assert (begin.kind, end.kind) == (BATCH_BEGIN, BATCH_END)
    for message in changes:
        about = dict(netlink.attributes(message.body))
        assert about[1] == table.name.partition(" ")[2].encode() + b"\0"
        verb, read = verbs[message.kind], Read(table)
        home = wire.home(table, about[2].rstrip(b"\0").decode())
        if verb == "delete":  # by its key alone
            home = wire.Home(home.name, home.key, ())
        wire.take_elements(read, home, message.body)
        yield verb, home.name, read.listing


class Read(Found):
    """Takes note of elements one by one."""

    def __init__(self, table: Table) -> None:
        super().__init__(table)
        self.listing: list[tuple[str, str]] = []

    def element(self, home: str, key: str, end: str = "") -> None:
        self.listing.append((key, end))

    def slot(self, home: str, place: str, slot: int, end: str) -> None:
        self.listing.append((f"{place} . {slot}", end))


def _parted(text: str) -> tuple[str, str]:
    """Return an element's key, and what it leads to or the limit that it carries."""
    limit = re.fullmatch(r"(.*) ((?:ct count|limit rate) .*)", text)
    if limit:
        return limit[1], limit[2]
    key, _, value = text.partition(" : ")
    return key, value
