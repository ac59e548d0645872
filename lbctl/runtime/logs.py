"""The log layout of all processes: AKO's columns, or one JSON object per line.

Text: `2026-11-21T12:00:00.123Z<TAB>INFO<TAB>loop.py:42<TAB>key: L4LBService/ns/name, msg: …`.
"""

import datetime
import json
import logging
import sys

from lbctl.settings import LbctlSettings

_NAMES = {"WARNING": "WARN", "CRITICAL": "ERROR"}


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        place = f"{record.filename}:{record.lineno}"
        line = "\t".join((_stamp(record), _level(record), place, _keyed(record)))
        return line + (f"\n{self.formatException(record.exc_info)}" if record.exc_info else "")


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "ts": _stamp(record),
            "level": _level(record),
            "caller": f"{record.filename}:{record.lineno}",
            "key": getattr(record, "key", ""),
            "msg": record.getMessage(),
        }
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return json.dumps(entry)


def _stamp(record: logging.LogRecord) -> str:
    moment = datetime.datetime.fromtimestamp(record.created, tz=datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{int(record.msecs):03d}Z"


def _level(record: logging.LogRecord) -> str:
    return _NAMES.get(record.levelname, record.levelname)


def _keyed(record: logging.LogRecord) -> str:
    key = getattr(record, "key", "")
    return f"key: {key}, msg: {record.getMessage()}" if key else record.getMessage()


def configure(settings: LbctlSettings) -> None:
    """Send the log of this process to standard error in the layout of the settings."""
    out = logging.StreamHandler(sys.stderr)
    out.setFormatter(_JsonLines() if settings.log_format == "json" else _Text())
    root = logging.getLogger()
    root.handlers[:] = [out]
    root.setLevel({"WARN": "WARNING"}.get(settings.log_level, settings.log_level))
