"""What `iotpipe logs` and `iotpipe dlq list` print: one entry, one message, readable or as JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from iotpipe import console, output
from iotpipe.watching.deadletters import Letter, Look
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
_MOST_SHOWN = 160


def event_data(event: LogEvent) -> str:
    """An entry for a program, in one line; `message` is an object where the entry is JSON."""
    line = event.document()
    head = {"timestamp": moment(event.timestamp), "function": event.function, "event_id": event.event_id}
    told = event.message if line is None else line
    return output.as_json(head | {"log_stream": event.stream, "message": told})


def event_text(event: LogEvent) -> list[Text]:
    """An entry for a person: the handlers' own lines in short, all others as they are, further ones indented."""
    line = event.document()
    head = console.line(
        (f"{moment(event.timestamp)}  ", "dim"), (f"{event.function:<9}  ", _COLOURS.get(event.function, ""))
    )
    if line is None or "milliseconds" not in line:
        first, *rest = output.lines_of(event.message.expandtabs(2))
        return [head + Text(first), *(Text(f"  {each}") for each in rest)]
    return [head + _invocation(line)]


def moment(milliseconds: int) -> str:
    """An epoch millisecond in ISO 8601, UTC."""
    found = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return found.isoformat(timespec="milliseconds").replace("+00:00", "Z")


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
    return told + (["cold start"] if line.get("cold_starts") else [])


def _short(value: Any) -> str:
    if isinstance(value, list) and len(value) > _MOST_NAMED:
        return f"{json.dumps(value[:_MOST_NAMED])} and {len(value) - _MOST_NAMED} more"
    return value if isinstance(value, str) else json.dumps(value)


def letters_data(queue: str, look: Look) -> dict[str, Any]:
    """The dead letters for a program, bodies included."""
    messages = [
        {
            "message_id": letter.message_id,
            "sent": moment(letter.sent),
            "receives": letter.receives,
            "device_id": letter.device_id,
            "correlation_id": letter.correlation_id,
            "reason": look.reason(letter),
            "attributes": dict(letter.attributes),
            "body": letter.body,
        }
        for letter in look.letters
    ]
    return {"queue": queue, "about": look.about, "hidden": look.hidden, "messages": messages}


def letter_text(letter: Letter, look: Look) -> Text:
    """One dead letter for a person."""
    flaw = look.reason(letter)
    why = (flaw, "red") if flaw else ("nothing is wrong with it: the processor would take it now", "green")
    request = f"  correlation_id={letter.correlation_id}" if letter.correlation_id else ""
    return console.line(
        (moment(letter.sent), "dim"),
        f"  {_received(letter.receives)}",
        (f"{letter.device_id or '(no device)'}  ", "bold"),
        why,
        (request, "dim"),
    )


def shortened(text: str) -> str:
    """The beginning of a text, which may be long."""
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}… ({len(text):,} characters)"


def _received(times: int | None) -> str:
    return "" if times is None else f"received {'once' if times == 1 else f'{times} times'}  "


def look_summary(queue: str, look: Look) -> list[str]:
    """What the list itself does not say."""
    seen, taken = len(look.letters), sum(look.reason(letter) is None for letter in look.letters)
    if not seen and not look.about:
        return [f"{queue} is empty"]
    told = [f"{seen} of about {look.about} messages in {queue}"]
    if taken:
        told.append(f"{taken} would be processed if sent back: `iotpipe dlq redrive`")
    if seen - taken:
        told.append(f"{seen - taken} would fail again as long as neither they nor the processor change")
    if look.hidden:
        told.append(f"{look.hidden} could not be made visible again and are hidden for up to {look.hold} s")
    return told
