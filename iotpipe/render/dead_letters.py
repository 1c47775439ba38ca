"""What `iotpipe dlq list` prints: one dead letter, readable or as JSON."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from iotpipe.operations.dead_letters import Letter, Look
from iotpipe.render import console
from iotpipe.times import iso

_MOST_SHOWN = 160


def letters_data(queue: str, look: Look) -> dict[str, Any]:
    """The dead letters for a program, bodies included."""
    messages = [
        {
            "message_id": letter.message_id,
            "sent": iso(letter.sent),
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
    why = (flaw, "red") if flaw else ("valid: the processor would accept it now", "green")
    request = f"  correlation_id={letter.correlation_id}" if letter.correlation_id else ""
    return console.line(
        (iso(letter.sent), "dim"),
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
        told.append(f"{taken} can be processed if redriven: `iotpipe dlq redrive`")
    if seen - taken:
        told.append(f"{seen - taken} would fail again until they or the processor change")
    if look.hidden:
        told.append(f"{look.hidden} could not be made visible again and are hidden for up to {look.hold} s")
    return told
