"""A parent zone on BIND that delegates to the running server, and Unbound that walks there.

The server is on port 53 of a loopback address of its own: delegations know no other port. Needs
root.
"""

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nameserver_process import PATIENCE_S, free_port, until

CHILD = "127.53.0.2"
NAMED = """\
options {{
  directory "{folder}"; pid-file none; session-keyfile none; lock-file none;
  listen-on port {parent} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
  recursion no; notify no; dnssec-validation no;
}};
controls {{ }};
zone "example" {{ type primary; file "example.zone"; }};
zone "192.in-addr.arpa" {{ type primary; file "192.zone"; }};
"""
EXAMPLE = """\
$TTL 300
@           IN SOA ns.example. hostmaster.example. 1 3600 600 86400 300
            IN NS  ns.example.
ns          IN A   127.0.0.1
; lbctl answers for lb.example and everything below it.
lb          IN NS  ns1.lb.example.
ns1.lb      IN A   {child}
"""
REVERSE = """\
$TTL 300
@           IN SOA ns.example. hostmaster.example. 1 3600 600 86400 300
            IN NS  ns.example.
2.0         IN NS  ns1.lb.example.
"""
UNBOUND = """\
server:
  directory: "{folder}"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  logfile: ""
  interface: 127.0.0.1@{resolver}
  do-not-query-localhost: no
  access-control: 127.0.0.0/8 allow
  module-config: "iterator"
  use-caps-for-id: yes
  local-zone: "2.0.192.in-addr.arpa." nodefault
remote-control:
  control-enable: no
stub-zone:
  name: "example"
  stub-addr: 127.0.0.1@{parent}
stub-zone:
  name: "192.in-addr.arpa"
  stub-addr: 127.0.0.1@{parent}
"""
"""No validation, as the parent is made up; names are asked for in mixed case."""


def ask(address: str, port: int, *words: str) -> str:
    """Return what dig says; `words` as on its command line."""
    command = ["dig", f"@{address}", "-p", str(port), "+tries=1", "+time=5", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


@dataclass(frozen=True, slots=True)
class Walk:
    """Where parent and resolver listen, on loopback."""

    parent: int
    resolver: int

    def ask(self, *words: str) -> str:
        """Ask the resolver."""
        return ask("127.0.0.1", self.resolver, *words)

    def ask_parent(self, *words: str) -> str:
        """Ask the parent's server."""
        return ask("127.0.0.1", self.parent, *words)


@contextlib.contextmanager
def walked(folder: Path) -> Iterator[Walk]:
    """Run parent and resolver; ended afterwards whatever happened."""
    walk = Walk(free_port(), free_port())
    places = {"folder": folder, "child": CHILD, "parent": walk.parent, "resolver": walk.resolver}
    for name, text in (
        ("named.conf", NAMED),
        ("example.zone", EXAMPLE),
        ("192.zone", REVERSE),
        ("unbound.conf", UNBOUND),
    ):
        (folder / name).write_text(text.format(**places))
    with contextlib.ExitStack() as stack:
        stack.enter_context(_running("named", "-g", "-c", str(folder / "named.conf")))
        stack.enter_context(_running("unbound", "-d", "-c", str(folder / "unbound.conf")))
        until(lambda: "status: NOERROR" in walk.ask_parent("example", "SOA"))
        until(lambda: "status: NOERROR" in walk.ask("example", "SOA"))
        yield walk


@contextlib.contextmanager
def _running(*command: str) -> Iterator[None]:
    program = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        program.terminate()
        program.wait(PATIENCE_S)
