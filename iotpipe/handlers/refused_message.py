"""The dead letter of a device's message of which ingestion refused readings. It contains the message itself."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from iotpipe.handlers.device_message import DeviceMessage

REFUSED_BY = "data-ingestion"
# With the largest payload of AWS IoT (175 KB as base64) the dead letter stays below 256 KiB.
_MAX_PROBLEMS = 100


@dataclass(slots=True)
class Refusal:
    """What was refused of one message, and why.

    `positions` are those of the refused readings in their batch; it is empty if the message was refused as a whole.
    `problems` are the first ones that were found, `omitted` is the number of the others.
    """

    positions: list[int] = field(default_factory=list)
    problems: list[dict[str, Any]] = field(default_factory=list)
    omitted: int = 0

    def add(self, problems: Iterable[dict[str, Any]]) -> None:
        for problem in problems:
            if len(self.problems) < _MAX_PROBLEMS:
                self.problems.append(problem)
            else:
                self.omitted += 1


def write(refusal: Refusal, message: DeviceMessage | None, body: str) -> str:
    """Return the dead letter's body, in ASCII. Without a `message` the `body` is not from the rule, and is quoted."""
    document: dict[str, Any] = {"refused_by": REFUSED_BY, "problems": refusal.problems}
    if refusal.omitted:
        document["omitted"] = refusal.omitted
    if refusal.positions:
        document["refused"] = refusal.positions
    return json.dumps(document | ({"body": body} if message is None else message.document()))
