"""What `helm test` asks of the DNS Service, against the real server."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import chart_renders as chart
from nameserver_process import serving

ZONE = "lb.example"
RECORDS = "$TTL 5\n@ SOA ns1 host 7 1 1 1 1\n@ NS ns1\nns1 A 127.0.0.1\n"
ANSWERS = "import check; print(check.answers())"


def answers(folder: Path, port: int, zones: str) -> subprocess.CompletedProcess[str]:
    """Run the script's check of the DNS Service, as if it were on this port."""
    script = (chart.CHART / "files" / "check.py").read_text()
    for old, new in (
        ("/etc/lbctl/zones", str(folder / "zones")),
        ("(address, 53)", f"(address, {port})"),
    ):
        assert old in script
        script = script.replace(old, new)
    (folder / "check.py").write_text(script)
    (folder / "zones").write_text(zones)
    env = {**os.environ, "LBCTL_DNS_SERVICE_HOST": "127.0.0.1", "PYTHONPATH": str(folder)}
    argv = [sys.executable, "-S", "-c", ANSWERS]
    return subprocess.run(
        argv, capture_output=True, text=True, check=False, timeout=30, env=env, cwd=folder
    )


@pytest.mark.parametrize(
    ("zones", "said"),
    [(f"{ZONE}\n", f"DNS answers for {ZONE}\n"), ("", "DNS answers for no zone yet\n")],
)
def test_a_server_that_answers_for_its_zones_is_well(tmp_path: Path, zones: str, said: str) -> None:
    (tmp_path / "records").write_text(RECORDS)
    with serving("--zone", f"{ZONE}={tmp_path / 'records'}") as server:
        assert answers(tmp_path, server.port, zones).stdout == said


def test_a_zone_it_does_not_serve_and_a_server_that_is_not_there_are_named(tmp_path: Path) -> None:
    (tmp_path / "records").write_text(RECORDS)
    with serving("--zone", f"{ZONE}={tmp_path / 'records'}") as server:
        other = answers(tmp_path, server.port, "lb.example.net\n")
    assert "no authoritative SOA of lb.example.net" in other.stderr
    nobody = answers(tmp_path, 9, f"{ZONE}\n")
    assert "no answer about lb.example" in nobody.stderr
