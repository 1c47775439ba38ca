"""An environment at a glance in the terminal: the sentence, the flow, the last minutes and the reasons."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from rich.console import Group
from rich.live import Live
from rich.text import Text

from iotpipe.observer.snapshot import BAD, WARN, Node, Reason, Snapshot
from iotpipe.observer.words import duration
from iotpipe.render import console, terminals
from iotpipe.render.console import Part, line
from iotpipe.render.sparkline import BLOCKS, GAP
from iotpipe.times import iso

_TONES = {BAD: "bold red", WARN: "yellow", "": "bold"}
_LABEL, _FIGURES = 22, 26
"""Columns to the left and to the right of a sparkline."""


@dataclass(frozen=True)
class Signs:
    """The characters that the picture is drawn with."""

    arrow: str
    below: str
    dot: str
    times: str
    blocks: str
    gap: str


DRAWN = Signs("──▶", "└▶", "●", "×", BLOCKS, GAP)  # noqa: RUF001 - the sign for times
ASCII = Signs("-->", "`>", "*", "x", "_.-=+*%#", " ")


class Look(Protocol):
    """Shows a snapshot; `held` says that no newer one is shown for now, `link` leads to the page in a browser."""

    def __call__(self, snapshot: Snapshot, held: bool, link: str) -> None: ...


@contextmanager
def on_terminal(every: float) -> Iterator[Look]:
    """Draw on the whole terminal while the block lasts, and leave it as it was."""
    out = console.stdout().rich
    signs = DRAWN if terminals.can_show("".join(vars(DRAWN).values()), sys.stdout) else ASCII
    with Live(console=out, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:

        def show(snapshot: Snapshot, held: bool, link: str) -> None:
            width, height = out.size
            lines = picture(snapshot, every, held, width, height, link, signs)
            live.update(Group(*lines), refresh=True)

        yield show


def picture(
    snapshot: Snapshot, every: float, held: bool, width: int, height: int, link: str = "", signs: Signs = DRAWN
) -> list[Text]:
    """The lines of a terminal of this size, none of them wider; what does not fit is left out from below."""
    above = [_head(snapshot, every, held, width, signs), Text(), _sentence(snapshot), Text()]
    below = [Text(), line((f"q ends · space {'goes on' if held else 'holds'} · o opens the page", "dim"))]
    if link:
        below.insert(1, line(link, ("  good once, for a minute", "dim")))
    lines = [*above, *_middle(snapshot, width, signs)[: max(0, height - len(above) - len(below))], *below]
    for each in lines:
        each.no_wrap = True
        each.truncate(width, overflow="ellipsis")
    return lines[:height]


def _middle(snapshot: Snapshot, width: int, signs: Signs) -> list[Text]:
    if snapshot.missing:
        return [line((snapshot.missing.hint, "dim"))]
    return [
        *_flow(snapshot, width, signs),
        Text(),
        *_sparklines(snapshot, width, signs),
        Text(),
        *_problems(snapshot),
        *_firing(snapshot),
        *(_reason(each, snapshot.time, signs) for each in snapshot.reasons),
    ]


def _head(snapshot: Snapshot, every: float, held: bool, width: int, signs: Signs) -> Text:
    where = "this machine" if snapshot.local else f"account {snapshot.account}, {snapshot.region}"
    left = line((snapshot.environment, "bold"), (f"  {where}", "dim"))
    mark = ("held", "yellow") if held else (signs.dot, "cyan")
    right = line(mark, (f" every {every:g} s   {_clock(snapshot.time, seconds=True)} UTC", "dim"))
    return _apart(left, right, width)


def _apart(left: Text, right: Text, width: int) -> Text:
    room = width - left.cell_len - right.cell_len
    return left if room < 1 else Text.assemble(left, " " * room, right)


def _sentence(snapshot: Snapshot) -> Text:
    return line(*((part.text, _TONES[part.tone]) for part in snapshot.sentence))


# The flow


def _flow(snapshot: Snapshot, width: int, signs: Signs) -> list[Text]:
    """The way of a reading from left to right with what leaves it below, or box by box where that is too wide."""
    drawn = _across(snapshot, signs)
    if max(each.cell_len for each in drawn) > width:
        return [_row(each) for each in snapshot.nodes]
    return [*drawn, *_over_mqtt(snapshot, width, signs)]


def _over_mqtt(snapshot: Snapshot, width: int, signs: Signs) -> list[Text]:
    """The way of what devices publish, up to the box that it shares with the main way."""
    rows = [_row(node) for node in snapshot.nodes if node.name in _MQTT]
    if not rows:
        return []
    parts = (part for row in rows for part in (row, (f" {signs.arrow} ", "cyan")))
    across = Text.assemble(("MQTT  ", "dim"), *parts, ("data-ingestion", "dim"))
    return [Text(), *([across] if across.cell_len <= width else rows)]


def _across(snapshot: Snapshot, signs: Signs) -> list[Text]:
    columns = [list(each) for each in _columns(snapshot, signs)]
    rows = [Text() for _ in range(max(map(len, columns)))]
    for number, column in enumerate(columns):
        is_last = number == len(columns) - 1
        width = max(each.cell_len for each in column)
        for height, row in enumerate(rows):
            cell = column[height] if height < len(column) else Text()
            row.append_text(cell)
            if not is_last:
                row.append(" " * (width - cell.cell_len))
                row.append(f" {signs.arrow} " if height == 1 else " " * (len(signs.arrow) + 2), "cyan")
    return rows


def _columns(snapshot: Snapshot, signs: Signs) -> Iterator[Iterator[Text]]:
    """What stands in each column: name, number and note of a box on the way, and of one that branches off."""
    by_name = {node.name: node for node in snapshot.nodes}
    for name, branch in _WAY:
        if name in by_name:
            yield _column(by_name[name], by_name.get(branch), signs)


_WAY = (
    ("Devices and clients", ""),
    ("iot-api", ""),
    ("data-ingestion", "raw-sensor-data"),
    ("iot-ingestion-queue", "iot-dlq"),
    ("data-processor", "iot-alerts"),
    ("processed-data", ""),
)
"""The boxes on the way of a reading, each with the one that branches off there."""
_MQTT = ("topic-rule", "iot-device-queue")
_SHORT = {
    "Devices and clients": "devices",
    "iot-api": "API",
    "iot-device-queue": "device-queue",
    "iot-ingestion-queue": "queue",
    "raw-sensor-data": "raw",
    "iot-dlq": "dlq",
    "iot-alerts": "alerts",
}


def _column(node: Node, branch: Node | None, signs: Signs) -> Iterator[Text]:
    yield line((_SHORT.get(node.name, node.name), "dim"))
    yield _number(node)
    yield line((node.note, _TONES[node.tone] if node.tone else "dim"))
    if branch:
        tone = _TONES[branch.tone] if branch.tone else "cyan"
        yield line((f"{signs.below} {_SHORT.get(branch.name, branch.name)} ", tone), (branch.value or "?", tone))


def _number(node: Node) -> Text:
    if node.value is None:
        return line(("?", "dim"))
    unit = "" if node.kind == "devices" or node.unit == "rows" else f" {node.unit}"
    return line((f"{node.value}{unit}", _TONES[node.tone] if node.tone == BAD else "bold"))


def _row(node: Node) -> Text:
    note: Part = (f"  {node.note}" if node.note else "", _TONES[node.tone] if node.tone else "dim")
    return line((f"{_SHORT.get(node.name, node.name)}  ", "dim"), _number(node), note)


# The last minutes


def _sparklines(snapshot: Snapshot, width: int, signs: Signs) -> list[Text]:
    series = snapshot.series
    columns = width - _LABEL - _FIGURES
    rows: tuple[tuple[str, Sequence[float | None], str], ...] = (
        ("accepted /s", series.accepted, ".1f"),
        ("waiting", series.waiting, ",.0f"),
        ("stored /s", series.stored, ".1f"),
        ("time to store, p95", series.p95, "ms"),
    )
    lines = []
    for label, values, form in rows:
        known = [each for each in values if each is not None]
        now = next((each for each in reversed(values) if each is not None), None)
        figures = f"{_figure(now, form):>10}  most {_figure(max(known, default=None), form)}"
        bars = sparkline(values, columns, signs) if columns > 0 else ""
        lines.append(line((f"{label:<{_LABEL}}", "dim"), (bars, "cyan"), (figures[:11], "bold"), (figures[11:], "dim")))
    if columns >= len("00:00  00:00"):
        end = min(snapshot.time, series.start + series.step * len(series.accepted))
        axis = f"{_clock(series.start)}{_clock(end):>{columns - 5}}"
        lines.append(line((" " * _LABEL + axis, "dim")))
    return lines


def sparkline(values: Sequence[float | None], columns: int, signs: Signs = DRAWN) -> str:
    """A block per column for the most of its values, on a scale from 0; a gap where nothing is known."""
    top = max((each for each in values if each is not None), default=0) or 1
    found = []
    for column in range(columns):
        first = column * len(values) // columns
        part = values[first : max(first + 1, math.ceil((column + 1) * len(values) / columns))]
        known = [each for each in part if each is not None]
        last = len(signs.blocks) - 1
        found.append(signs.blocks[math.ceil(max(known) / top * last)] if known else signs.gap)
    return "".join(found)


def _figure(value: float | None, form: str) -> str:
    if value is None:
        return "?"
    return duration(value) if form == "ms" else f"{value:{form}}"


def _clock(milliseconds: int, seconds: bool = False) -> str:
    return iso(milliseconds)[11 : 19 if seconds else 16]


# What is wrong


def _problems(snapshot: Snapshot) -> Iterator[Text]:
    told = snapshot.series.told_until
    for each in snapshot.sources:
        if each.problem:
            since = f" since {_clock(each.since, seconds=True)}" if each.since else ""
            yield line((f"{each.name} not read{since}", "red"), f": {each.problem}")
        if each.name == "counts" and each.from_ == "CloudWatch metrics" and told is not None:
            behind = duration(max(0, snapshot.time - told))
            yield line((f"counts to {_clock(told)}, CloudWatch is {behind} behind", "dim"))


def _firing(snapshot: Snapshot) -> Iterator[Text]:
    for each in snapshot.alarms.firing:
        yield line((each.name, "bold red"), f"  since {each.since}: {each.reason}")


def _reason(reason: Reason, now: int, signs: Signs) -> Text:
    count = f"{reason.count:,}{signs.times}"
    seconds = max(0, now - reason.last) // 1000
    ago = f"{seconds} s" if seconds < 120 else duration(1000 * seconds)
    return line((f"{count:>8}", "bold"), f" {reason.text}   ", (f"{reason.detail}, last {ago} ago", "dim"))
