"""Settings change while running, or stay as they were with a reason."""

from pathlib import Path

import pytest

import event_loops
from lbctl.model.errors import Misconfigured
from lbctl.runtime import reload
from lbctl.settings import Settings


def tree(**parts: object) -> Settings:
    return Settings.model_validate(parts)


def test_pools_domains_ttls_and_log_level_change_at_once() -> None:
    new = tree(
        addressPools=[{"addresses": ["192.0.2.0/24"]}],
        nameservice={"ttl": 60, "subdomains": ["lb.example"]},
        LbctlSettings={"logLevel": "DEBUG"},
    )
    assert reload.accept(Settings(), new) == (new, ())


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        ({"LbctlSettings": {"clusterName": "other"}}, "LbctlSettings.clusterName"),
        ({"nameservice": {"workers": 2}}, "nameservice.workers"),
        ({"nameservice": {"rateLimit": {"slip": 1}}}, "nameservice.rateLimit"),
        ({"lease": {"duration": 20}}, "lease"),
        ({"agent": {"bridge": "br-x"}}, "agent"),
        ({"metrics": {"port": 9000}}, "metrics"),
    ],
)
def test_what_needs_a_restart_stays_and_is_named(parts: dict[str, object], name: str) -> None:
    accepted, kept = reload.accept(Settings(), tree(**parts))
    assert kept == (name,)
    assert accepted == Settings()


def test_a_file_that_does_not_parse_changes_nothing_and_a_good_one_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("{}")
    seen: list[Settings] = []

    def apply(settings: Settings) -> None:
        if settings.nameservice.ttl == 13:
            raise Misconfigured("nameservice.ttl: 13 is unlucky")
        seen.append(settings)

    async def body() -> None:
        async with event_loops.running(reload.follow(path, Settings(), apply)):
            await event_loops.turns()
            path.write_text("nameservice: {ttl: soon}")
            await event_loops.until(lambda: "nameservice.ttl" in caplog.text)
            path.write_text("nameservice: {ttl: 13}")
            await event_loops.until(lambda: "unlucky" in caplog.text)
            path.write_text("nameservice: {ttl: 7}")
            await event_loops.until(lambda: bool(seen))

    event_loops.run(body(), event_loops.Hurried)
    assert [settings.nameservice.ttl for settings in seen] == [7]


def test_a_change_between_the_start_and_the_first_look_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("nameservice: {ttl: 7}")
    seen: list[Settings] = []

    async def body() -> None:
        async with event_loops.running(reload.follow(path, Settings(), seen.append)):
            await event_loops.until(lambda: bool(seen))

    event_loops.run(body(), event_loops.Hurried)
    assert [settings.nameservice.ttl for settings in seen] == [7]
