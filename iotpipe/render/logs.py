"""Format one log entry as text or JSON."""

from __future__ import annotations

import json
from typing import Any

from rich.text import Text

from iotpipe.operations.logs import LogEvent
from iotpipe.render import console, output
from iotpipe.times import iso

_COLOURS = {"ingestion": "cyan", "processor": "green", "query": "magenta"}


_COUNTS = ("accepted", "duplicates", "rejected", "processed", "failed")


_ALWAYS = ("accepted", "processed")


# Already in the line's prefix, or irrelevant for a reader.
_TOLD = frozenset(
    {"environment", "function", "lambda_request_id", "request_id", "_aws", "route", "status", "milliseconds", "lag"}
    | {"wait", "cold_starts", *_COUNTS}
)


_MOST_NAMED = 3


def event_data(event: LogEvent) -> str:
    """An entry for a program, in one line; `message` is an object where the entry is JSON."""
    line = event.document()
    head = {"timestamp": iso(event.timestamp), "function": event.function, "event_id": event.event_id}
    told = event.message if line is None else line
    return output.as_json(head | {"log_stream": event.stream, "message": told})


def event_text(event: LogEvent) -> list[Text]:
    """An entry for a person: the handlers' own lines in short, all others as they are, further ones indented."""
    line = event.document()
    head = console.line(
        (f"{iso(event.timestamp)}  ", "dim"), (f"{event.function:<9}  ", _COLOURS.get(event.function, ""))
    )
    if line is None or "milliseconds" not in line:
        first, *rest = output.lines_of(event.message.expandtabs(2))
        return [head + Text(first), *(Text(f"  {each}") for each in rest)]
    return [head + _invocation(line)]


def _invocation(line: dict[str, Any]) -> Text:
    what = " ".join(str(line[name]) for name in ("route", "status") if name in line)
    status = line.get("status")
    wrong = line.get("failed") or line.get("rejected") or (isinstance(status, int) and status >= 400)
    rest = {name: value for name, value in line.items() if name not in _TOLD and value not in (None, [], {})}
    told = "".join(f"  {name}={_short(value)}" for name, value in rest.items())
    return console.line((what, "red" if wrong else "bold"), f"  {', '.join(_figures(line))}", (told, "dim"))


def _figures(line: dict[str, Any]) -> list[str]:
    told = [f"{line[name]} {name}" for name in _COUNTS if line.get(name) or (name in _ALWAYS and name in line)]
    told.append(f"{line['milliseconds']} ms")
    if isinstance(line.get("lag"), list) and line["lag"]:
        told.append(f"lag {max(line['lag'])} ms")
    if isinstance(line.get("wait"), list) and line["wait"]:
        told.append(f"wait {max(line['wait'])} ms")
    return told + (["cold start"] if line.get("cold_starts") else [])


def _short(value: Any) -> str:
    if isinstance(value, list) and len(value) > _MOST_NAMED:
        return f"{json.dumps(value[:_MOST_NAMED])} and {len(value) - _MOST_NAMED} more"
    return value if isinstance(value, str) else json.dumps(value)
