"""A settings file that does not parse is refused, naming file, field and reason."""

from pathlib import Path

import pytest

from lbctl.model.errors import Misconfigured
from lbctl.runtime import config_file
from lbctl.settings import Settings


def settings_of(folder: Path, text: str) -> Settings:
    path = folder / "settings.yaml"
    path.write_text(text)
    return config_file.load(path)


def test_without_a_file_the_defaults_count() -> None:
    assert config_file.load(None) == Settings()


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    assert settings_of(tmp_path, "# nothing yet\n") == Settings()


def test_keys_are_camel_case(tmp_path: Path) -> None:
    found = settings_of(
        tmp_path,
        'LbctlSettings: {clusterName: lab}\naddressPools: [{name: a, addresses: ["::1/128"]}]',
    )
    assert found.lbctl.cluster_name == "lab"
    assert found.address_pools[0].addresses == ("::1/128",)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("clusterNam: lab", "clusterNam: Extra inputs are not permitted"),
        ("lease: {duration: soon}", "lease.duration: "),
        ("addressPools: [{name: a, addresses: [x]}]", "addressPools.0.addresses: "),
        ("- a", "file: "),
        ("a: [", "not YAML: "),
        ("nameservice: {ttl: -1}\nLbctlSettings: {logLevel: LOUD}", "nameservice.ttl: "),
        ("nameservice: {ttl: -1}\nLbctlSettings: {logLevel: LOUD}", "LbctlSettings.logLevel: "),
    ],
)
def test_each_fault_names_file_and_field(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(Misconfigured) as raised:
        settings_of(tmp_path, text)
    assert str(raised.value).startswith(f"settings {tmp_path / 'settings.yaml'}: ")
    assert fault in str(raised.value)


def test_an_absent_file_is_named_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"settings .*absent: No such file"):
        config_file.load(tmp_path / "absent")
