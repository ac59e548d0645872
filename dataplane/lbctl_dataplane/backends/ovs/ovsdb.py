"""Follow a few tables of the Open vSwitch database: RFC 7047 `monitor` over its unix socket.

The client library of Open vSwitch blocks and polls; its protocol is JSON with an answer to echo.
"""

import asyncio
import codecs
import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

from lbctl.model import errors

Row = dict[str, Any]
"""Columns of one row as RFC 7047 §5.1 writes them."""

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "Bridge": ("name", "datapath_type", "ports"),
    "Port": ("name", "interfaces"),
    "Interface": ("name", "type", "ofport", "mac_in_use", "external_ids"),
}


class Database:
    """A copy of the monitored tables, by table and row UUID."""

    def __init__(self, socket: Path) -> None:
        self.rows: dict[str, dict[str, Row]] = {table: {} for table in COLUMNS}
        self.version = 0
        """Grows with every change."""
        self._socket = socket

    async def follow(self, changed: Callable[[], None]) -> None:
        """Copy the tables and each change until the connection ends, which raises Unavailable."""
        try:
            reader, writer = await asyncio.open_unix_connection(str(self._socket))
        except OSError as error:
            raise errors.Unavailable(
                f"OVS database {self._socket}: {error.strerror}; is ovsdb-server running, "
                "and does OVS_RUNDIR name its folder?"
            ) from error
        try:
            columns = {table: [{"columns": list(names)}] for table, names in COLUMNS.items()}
            _send(writer, "monitor", ["Open_vSwitch", None, columns], 0)
            async for message in _messages(reader):
                self._take(message, writer, changed)
        finally:
            writer.close()
        raise errors.Unavailable(f"OVS database {self._socket}: the server went away")

    def _take(
        self, message: Row, writer: asyncio.StreamWriter, changed: Callable[[], None]
    ) -> None:
        if message.get("method") == "echo":
            reply = {"result": message["params"], "error": None, "id": message["id"]}
            writer.write(json.dumps(reply).encode())
        elif message.get("method") == "update":
            self._merge(message["params"][1])
            changed()
        elif message.get("id") == 0:
            if message.get("error"):
                raise errors.Unavailable(f"OVS database: monitor refused: {message['error']}")
            self.rows = {table: {} for table in COLUMNS}
            self._merge(message["result"])
            changed()

    def _merge(self, updates: Mapping[str, Mapping[str, Row]]) -> None:
        self.version += 1
        for table, rows in updates.items():
            for uuid, row in rows.items():
                if "new" in row:
                    self.rows[table][uuid] = row["new"]
                else:
                    self.rows[table].pop(uuid, None)


def _send(writer: asyncio.StreamWriter, method: str, params: list[Any], number: int) -> None:
    writer.write(json.dumps({"method": method, "params": params, "id": number}).encode())


async def _messages(reader: asyncio.StreamReader) -> AsyncIterator[Row]:
    """Yield JSON objects, which follow each other with nothing in between."""
    decoder, text = json.JSONDecoder(), ""
    utf8 = codecs.getincrementaldecoder("utf-8")()
    while chunk := await reader.read(1 << 16):
        text = (text + utf8.decode(chunk)).lstrip()
        while text:
            try:
                message, end = decoder.raw_decode(text)
            except ValueError:
                break  # the rest of the object is still under way
            yield message
            text = text[end:].lstrip()


def uuids(value: Any) -> tuple[str, ...]:
    """Return the row UUIDs in a column of references: one, or a set of them."""
    if value[0] == "uuid":
        return (value[1],)
    return tuple(item[1] for item in value[1])


def text_map(value: Any) -> dict[str, str]:
    """Return a column of type map as a dictionary."""
    return {str(key): str(item) for key, item in value[1]}


def scalar(value: Any) -> Any:
    """Return an optional column's value, None when it is the empty set."""
    return None if isinstance(value, list) and value[:1] == ["set"] and not value[1] else value
