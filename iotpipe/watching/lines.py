"""What `iotpipe logs` and `iotpipe dlq list` print: one entry, one message, readable or as JSON."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from iotpipe.watching.logs import LogEvent

_COLOURS = {"ingestion": "cyan", "processor": "green", "query": "magenta"}
_COUNTS = ("accepted", "duplicates", "rejected", "processed", "failed")
_ALWAYS = ("accepted", "processed")
# In the line's head, or of no use to a reader.
_TOLD = frozenset(
    {"environment", "function", "lambda_request_id", "request_id", "_aws", "route", "status", "milliseconds", "lag"}
    | {"cold_starts", *_COUNTS}
)
_MOST_NAMED = 3
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def event_data(event: LogEvent) -> str:
    """An entry for a program, in one line; `message` is an object where the entry is JSON."""
    line = event.document()
    head = {"timestamp": moment(event.timestamp), "function": event.function, "event_id": event.event_id}
    return json.dumps(head | {"log_stream": event.stream, "message": event.message if line is None else line})


def event_text(event: LogEvent) -> Text:
    """An entry for a person: the handlers' own lines in short, all others as they are."""
    line = event.document()
    head = Text.assemble(
        (f"{moment(event.timestamp)}  ", "dim"), (f"{event.function:<9}  ", _COLOURS.get(event.function, ""))
    )
    if line is None or "milliseconds" not in line:
        return head + Text(harmless(event.message))
    return head + _invocation(line)


def moment(milliseconds: int) -> str:
    """An epoch millisecond in ISO 8601, UTC."""
    found = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return found.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def harmless(text: str) -> str:
    """Without what would make a terminal do something else than show it: logs may quote what strangers sent."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text.replace("\r\n", "\n").replace("\r", "\n"))


def _invocation(line: dict[str, Any]) -> Text:
    what = " ".join(str(line[name]) for name in ("route", "status") if name in line)
    status = line.get("status")
    wrong = line.get("failed") or line.get("rejected") or (isinstance(status, int) and status >= 400)
    rest = {name: value for name, value in line.items() if name not in _TOLD and value not in (None, [], {})}
    told = "".join(f"  {name}={_short(value)}" for name, value in rest.items())
    return Text.assemble(
        (harmless(what), "red" if wrong else "bold"), f"  {', '.join(_figures(line))}", (harmless(told), "dim")
    )


def _figures(line: dict[str, Any]) -> list[str]:
    told = [f"{line[name]} {name}" for name in _COUNTS if line.get(name) or (name in _ALWAYS and name in line)]
    told.append(f"{line['milliseconds']} ms")
    if isinstance(line.get("lag"), list) and line["lag"]:
        told.append(f"lag {max(line['lag'])} ms")
    return told + (["cold start"] if line.get("cold_starts") else [])


def _short(value: Any) -> str:
    if isinstance(value, list) and len(value) > _MOST_NAMED:
        return f"{json.dumps(value[:_MOST_NAMED])} and {len(value) - _MOST_NAMED} more"
    return value if isinstance(value, str) else json.dumps(value)
