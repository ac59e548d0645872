"""Options of `lbctl dns serve` that do not fit together, or do not parse."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from lbctl_dns import cli
from transfer_builders import SECRET

KEY = f"xfr:hmac-sha256:{SECRET}"


def said(*arguments: str) -> str:
    found = CliRunner().invoke(cli.serve, ["--listen", "127.0.0.1:5399", *arguments])
    assert found.exit_code == 2
    assert SECRET not in found.output
    return found.output


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--tsig-key", f"xfr:hmac-md5:{SECRET}"], "'hmac-md5' is none of hmac-sha256"),
        (["--tsig-key", SECRET], "a key is NAME:ALGORITHM:SECRET"),
        (["--tsig-key", "xfr:hmac-sha256:@/nowhere/at/all"], "/nowhere/at/all"),
        (["--tsig-key", KEY, "--tsig-key", KEY], "two keys have one name"),
        (["--allow-transfer", "xfr"], "xfr. is no key that is known"),
        (["--allow-transfer", "xfr@192.0.2.0/33"], "192.0.2.0/33"),
        (["--notify", "xfr@127.0.0.1:53"], "xfr. is no key that is known"),
        (["--notify", "somewhere"], "somewhere"),
    ],
)
def test_an_option_that_is_wrong_is_refused_with_a_reason(
    tmp_path: Path, arguments: list[str], reason: str
) -> None:
    path = tmp_path / "zone"
    path.write_text("$TTL 5\n@ IN SOA ns1 hostmaster 7 10800 3600 86400 30\n@ IN NS ns1\n")
    assert reason in said("--zone", f"lb.example={path}", *arguments)


def test_with_a_cluster_secondaries_are_in_the_settings() -> None:
    assert "secondaries are in the settings" in said("--allow-transfer", "127.0.0.1")


def test_a_wrong_file_of_cookie_secrets_is_told_before_anything_begins(tmp_path: Path) -> None:
    secrets, settings = tmp_path / "secrets", tmp_path / "settings"
    secrets.write_text("0f" * 16 + "\n" + "0e" * 8)
    settings.write_text(f"nameservice: {{cookieSecretFile: {secrets}}}")
    found = CliRunner().invoke(
        cli.serve, ["--listen", "127.0.0.1:5399", "--config", str(settings), "--zone", "a=b"]
    )
    assert found.exit_code == 1
    assert f"{secrets}:2: is no secret of 16 bytes or more" in found.output
    assert "0e0e" not in found.output
