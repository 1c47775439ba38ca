"""The sentence and the summary of a snapshot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from iotpipe.observer.counts import Counts
from iotpipe.observer.snapshot import BAD, WARN, Alarms, Devices, Missing, Part

RANGE_WORDS = {900: "15 minutes", 3600: "an hour", 21_600: "6 hours", 86_400: "a day", 604_800: "a week"}


def sentence(
    missing: Missing | None,
    counts: Counts | None,
    range_seconds: int,
    stuck: str,
    dead_letters: int | None,
    devices: Devices,
    alarms: Alarms,
) -> tuple[Part, ...]:
    """How the environment is doing, with what to look at. Without `counts` nobody knows what happens just now.

    `stuck` says what waits and does not move.
    """
    if missing:
        return (Part(f"{missing.text}.", tone=BAD),)
    troubles = list(_troubles(dead_letters, devices, alarms))
    parts = [_flow(counts, range_seconds, stuck)]
    for number, (trouble, rest) in enumerate(troubles):
        is_last = number == len(troubles) - 1
        parts += [trouble, Part(f"{rest}." if is_last else f"{rest}, ")]
    return tuple(parts)


def _flow(counts: Counts | None, range_seconds: int, stuck: str) -> Part:
    accepted = counts.totals.get("accepted") if counts else None
    if counts is None or accepted is None:
        return Part("Whether readings flow is not known. ", tone=WARN)
    if stuck:
        return Part(f"{stuck}. ", tone=BAD)
    if not accepted:
        return Part(f"No reading was accepted in {RANGE_WORDS[range_seconds]}. ")
    return Part("Readings flow. " if counts.flows else "Readings came, but none in the last minute. ")


def _troubles(dead_letters: int | None, devices: Devices, alarms: Alarms) -> Iterator[tuple[Part, str]]:
    if dead_letters:
        yield (
            Part(counted(dead_letters, "dead letter"), "dead-letters", BAD),
            " waits" if dead_letters == 1 else " wait",
        )
    if firing := len(alarms.firing):
        yield Part(f"{counted(firing, 'alarm')} {'fires' if firing == 1 else 'fire'}", "", BAD), ""
    if silent := devices.silent:
        yield Part(f"{counted(silent, 'device')} {'is' if silent == 1 else 'are'} silent", "devices", WARN), ""


def summary(totals: Mapping[str, float | None], range_seconds: int) -> str:
    """How many readings were accepted and stored, and how fast; empty if nobody knows.

    The numbers may differ by what is under way.
    """
    accepted, stored, wait = (totals.get(name) for name in ("accepted", "stored", "median_wait"))
    if accepted is None or stored is None:
        return ""
    fast = f", half of them within {duration(wait)}" if wait is not None and stored > 1 else ""
    within = RANGE_WORDS[range_seconds]
    return f"{counted(int(accepted), 'reading')} accepted and {int(stored):,} stored in {within}{fast}."


def counted(number: int, noun: str) -> str:
    """`1 device`, `1,200 devices`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(milliseconds: float) -> str:
    """`12 ms`, `3.4 s`, `5 min`, `2 h`, `3 d`."""
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    for unit, length in (("d", 86_400), ("h", 3600)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 60:.0f} min"
