"""Format dead letters as text or JSON."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from iotpipe.operations.dead_letters import DeadLetters, Letter
from iotpipe.render import console
from iotpipe.times import iso

_MAX_SHOWN = 160


def letters_data(queue: str, dead: DeadLetters) -> dict[str, Any]:
    """The dead letters with their bodies, for JSON."""
    messages = [
        {
            "message_id": letter.message_id,
            "sent": iso(letter.sent),
            "receives": letter.receives,
            "device_id": letter.device_id,
            "correlation_id": letter.correlation_id,
            "reason": dead.reason(letter),
            "failure": letter.failure,
            "payload": letter.payload,
            "attributes": dict(letter.attributes),
            "body": letter.body,
        }
        for letter in dead.letters
    ]
    return {"queue": queue, "about": dead.approximate_total, "hidden": dead.hidden, "messages": messages}


def letter_text(letter: Letter, dead: DeadLetters) -> Text:
    """One dead letter as a line of text."""
    reason = dead.reason(letter)
    verdict = (reason, "red") if reason else (f"valid: {letter.retried_by} would accept it now", "green")
    request = f"  correlation_id={letter.correlation_id}" if letter.correlation_id else ""
    return console.line(
        (iso(letter.sent), "dim"),
        f"  {_received(letter.receives)}",
        (f"{letter.device_id or '(no device)'}  ", "bold"),
        (f"AWS IoT could not queue it: {letter.failure}  " if letter.failure else "", "red"),
        verdict,
        (request, "dim"),
    )


def shortened(text: str) -> str:
    """The text, cut after the first 160 characters."""
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}… ({len(text):,} characters)"


def _received(times: int | None) -> str:
    return "" if times is None else f"received {'once' if times == 1 else f'{times} times'}  "


def summary(queue: str, dead: DeadLetters) -> list[str]:
    """Totals and what to do with the dead letters, one line each."""
    listed, valid = len(dead.letters), sum(dead.reason(letter) is None for letter in dead.letters)
    if not listed and not dead.approximate_total:
        return [f"{queue} is empty"]
    lines = [f"{listed} of about {dead.approximate_total} messages in {queue}"]
    if valid:
        lines.append(f"{valid} can be processed if redriven: `iotpipe dlq redrive`")
    if listed - valid:
        lines.append(f"{listed - valid} would fail again until they or the functions change")
    if dead.hidden:
        lines.append(
            f"{dead.hidden} could not be made visible again and are hidden for up to {dead.visibility_timeout} s"
        )
    return lines
