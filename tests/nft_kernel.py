"""As much of nftables as a node's table needs, in memory: strict about what is there already."""

import re

CHAIN = re.compile(r"add chain inet lbctl-node (\S+)(?: \{ (.*); \})?")
RULE = re.compile(r"add rule inet lbctl-node (\S+) (.*)")
HOME = re.compile(r"add (set|map) inet lbctl-node (\S+) \{ (.*); \}")
ELEMENTS = re.compile(r"(add|delete) element inet lbctl-node (\S+) \{ (.*) \}")


class Kernel:
    """Takes transactions, and lists what came of them."""

    def __init__(self) -> None:
        self.homes: dict[str, dict[str, str]] = {}
        self._kinds: dict[str, str] = {}
        self._chains: dict[str, list[str]] = {}

    def apply(self, text: str) -> "Kernel":
        for line in text.splitlines():
            self._take(line)
        return self

    def _take(self, line: str) -> None:
        if line == "delete table inet lbctl-node":
            self.__init__()  # type: ignore[misc]
        elif found := ELEMENTS.fullmatch(line):
            self._change(*found.groups())
        elif found := HOME.fullmatch(line):
            self._kinds[found[2]], self.homes[found[2]] = found[1], {}
        elif found := CHAIN.fullmatch(line):
            self._chains[found[1]] = [f"{found[2]}; policy accept;"] if found[2] else []
        elif found := RULE.fullmatch(line):
            self._chains[found[1]].append(found[2])
        elif line != "add table inet lbctl-node":
            raise ValueError(f"syntax error: {line}")

    def _change(self, verb: str, home: str, listed: str) -> None:
        for text in listed.split(", "):
            key, _, value = text.partition(" : ")
            there = key in self.homes[home]
            if there is (verb == "add"):
                raise ValueError(f"{verb} {key}: {'exists' if there else 'no such element'}")
            if verb == "add":
                self.homes[home][key] = value
            else:
                del self.homes[home][key]

    def listing(self) -> str:
        """Return what `nft list table` prints."""
        lines = ["table inet lbctl-node {"]
        for name, elements in self.homes.items():
            texts = (f"{key} : {end}" if end else key for key, end in elements.items())
            listed = ",\n\t\t\t     ".join(texts)
            lines += [f"\t{self._kinds[name]} {name} {{", "\t\ttype whatever"]
            lines += [f"\t\telements = {{ {listed} }}"] * bool(elements)
            lines += ["\t}", ""]
        for name, rules in self._chains.items():
            lines += [f"\tchain {name} {{", *(f"\t\t{rule}" for rule in rules), "\t}", ""]
        return "\n".join([*lines[:-1], "}"]) + "\n"
