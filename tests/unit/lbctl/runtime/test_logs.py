"""The log's two layouts."""

import json
import logging
import re
from collections.abc import Iterator

import pytest

from lbctl.runtime import logs
from lbctl.settings import LbctlSettings

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


@pytest.fixture(autouse=True)
def _root_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def written(
    capsys: pytest.CaptureFixture[str],
    settings: LbctlSettings,
    level: int = logging.INFO,
    **extra: str,
) -> str:
    logs.configure(settings)
    logging.getLogger("lbctl.test").log(level, "members %s/%s", 1, 2, extra=extra)
    return capsys.readouterr().err


def test_text_has_akos_columns(capsys: pytest.CaptureFixture[str]) -> None:
    line = written(capsys, LbctlSettings(), key="L4LBService/default/kuard")
    columns = line.rstrip("\n").split("\t")
    assert re.fullmatch(STAMP, columns[0])
    assert columns[1] == "INFO"
    assert re.fullmatch(r"test_logs\.py:\d+", columns[2])
    assert columns[3] == "key: L4LBService/default/kuard, msg: members 1/2"


def test_a_line_without_a_key_has_only_its_message(capsys: pytest.CaptureFixture[str]) -> None:
    assert written(capsys, LbctlSettings()).rstrip("\n").split("\t")[3] == "members 1/2"


@pytest.mark.parametrize(
    ("level", "name"),
    [(logging.WARNING, "WARN"), (logging.CRITICAL, "ERROR"), (logging.ERROR, "ERROR")],
)
def test_levels_have_akos_names(capsys: pytest.CaptureFixture[str], level: int, name: str) -> None:
    assert written(capsys, LbctlSettings(), level).split("\t")[1] == name


@pytest.mark.parametrize(
    ("setting", "level", "shown"),
    [
        ("WARN", logging.INFO, False),
        ("WARN", logging.WARNING, True),
        ("DEBUG", logging.DEBUG, True),
        ("ERROR", logging.WARNING, False),
    ],
)
def test_the_setting_says_from_which_level_on(
    capsys: pytest.CaptureFixture[str], setting: str, level: int, shown: bool
) -> None:
    settings = LbctlSettings.model_validate({"logLevel": setting})
    assert bool(written(capsys, settings, level)) is shown


def test_json_has_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    entry = json.loads(written(capsys, LbctlSettings(log_format="json"), key="k"))
    assert re.fullmatch(STAMP, entry.pop("ts"))
    assert re.fullmatch(r"test_logs\.py:\d+", entry.pop("caller"))
    assert entry == {"level": "INFO", "key": "k", "msg": "members 1/2"}


@pytest.mark.parametrize("layout", ["text", "json"])
def test_an_exceptions_trace_is_kept(capsys: pytest.CaptureFixture[str], layout: str) -> None:
    logs.configure(LbctlSettings.model_validate({"logFormat": layout}))
    try:
        raise RuntimeError("boom")
    except RuntimeError:
        logging.getLogger("lbctl.test").exception("pass failed")
    out = capsys.readouterr().err
    text = json.loads(out)["error"] if layout == "json" else out
    assert "RuntimeError: boom" in text
    assert "Traceback" in text
