"""The chart's check.py against the real DNS server, and against one that knows nothing yet."""

import asyncio
import subprocess
import sys
from pathlib import Path

import chart_renders as chart
import nameserver_builders as nb
from nameserver_process import Server, configuration, serving, until

ZONE = "lb.example"


def check(folder: Path, *words: str) -> tuple[int, str]:
    """Run a copy of the script that finds its zones in this folder; return exit code and words."""
    script = (chart.CHART / "files" / "check.py").read_text()
    assert '"/etc/lbctl/zones"' in script
    (folder / "check.py").write_text(script.replace("/etc/lbctl/zones", str(folder / "zones")))
    (folder / "zones").write_text(f"{ZONE}\n")
    argv = [sys.executable, "-IS", str(folder / "check.py"), *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    return done.returncode, done.stdout + done.stderr


def test_a_server_that_knows_its_names_is_ready_and_alive(tmp_path: Path) -> None:
    async def body() -> None:
        api = nb.NamesApi()
        await api.start()
        try:
            await asyncio.to_thread(_is_well, tmp_path, api.port)
        finally:
            await api.stop()

    asyncio.run(body())


def _is_well(folder: Path, api_port: int) -> None:
    with serving(*configuration(folder, api_port)) as server:
        until(lambda: check(folder, "ready", "127.0.0.1", str(server.port))[0] == 0)
        assert check(folder, "ready", "::1", str(server.port)) == (0, "")
        assert check(folder, "alive", "127.0.0.1", str(server.port)) == (0, "")


def _answers(server: Server) -> bool:
    return server.rcode(ZONE) != ""


def test_a_server_that_never_reached_the_api_is_alive_but_not_ready(tmp_path: Path) -> None:
    nobody = 9  # the discard port of a machine that runs no such service
    with serving(*configuration(tmp_path, nobody)) as server:
        until(lambda: _answers(server))
        assert check(tmp_path, "alive", "127.0.0.1", str(server.port)) == (0, "")
        code, said = check(tmp_path, "ready", "127.0.0.1", str(server.port))
        assert code == 1
        assert "does not know the names yet" in said


def test_no_server_is_neither_and_said_in_one_line(tmp_path: Path) -> None:
    for what in ("alive", "ready"):
        code, said = check(tmp_path, what, "127.0.0.1", "9")
        assert code == 1
        assert said.startswith("not well: ")
        assert said.count("\n") == 1
