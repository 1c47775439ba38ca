"""Format buckets of time as a table with sparklines, as JSON or as CSV, with all digits of every number."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence

from iotpipe.readings import exact_json
from iotpipe.readings.buckets import FIGURES, Bucket
from iotpipe.render import output, sparkline
from iotpipe.render.query import aligned, inert, sparklines
from iotpipe.times import iso

_SHOWN = ("count", "min", "mean", "max", "last")


def as_json_text(every: str, found: Sequence[Bucket], more: bool) -> str:
    """The buckets as JSON: an object per device and metric, with a list for the starts and for each figure."""
    names = ("start", *FIGURES)
    series: dict[tuple[str, str], list[Bucket]] = {}
    for bucket in found:
        series.setdefault((bucket["device_id"], bucket["metric"]), []).append(bucket)
    listed = ",\n    ".join(
        output.escaped_json(
            exact_json.dumps(
                {"device_id": device, "metric": metric} | {name: [each[name] for each in held] for name in names}
            )
        )
        for (device, metric), held in series.items()
    )
    items = f"[\n    {listed}\n  ]" if found else "[]"
    head = f'"every": {json.dumps(every)},\n  "count": {len(found)},\n  "more": {"true" if more else "false"}'
    return f'{{\n  {head},\n  "series": {items}\n}}'


def as_csv_text(found: Sequence[Bucket]) -> str:
    """The buckets as CSV with a header and a line for each; `time` is its start. The text is empty without buckets."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if found:
        writer.writerow(["device_id", "metric", "time", *FIGURES])
    for bucket in found:
        head = [inert(bucket["device_id"]), inert(bucket["metric"]), iso(bucket["start"])]
        writer.writerow([*head, *(inert(bucket[name]) for name in FIGURES)])
    return text.getvalue()


def as_table(found: Sequence[Bucket], *, with_devices: bool = False) -> Iterator[str]:
    """A header and a line per bucket: its start, its device if that is wanted, its metric, and its figures."""
    head = ["time", *(["device_id"] if with_devices else []), "metric"]
    lines = [[*head, *_SHOWN]]
    for bucket in found:
        names = [*([bucket["device_id"]] if with_devices else []), bucket["metric"]]
        lines.append([iso(bucket["start"]), *names, *(exact_json.dumps(bucket[name]) for name in _SHOWN)])
    yield from aligned(lines, texts=len(head))


def as_sparklines(found: Sequence[Bucket], width: int, *, with_devices: bool = False) -> Iterator[str]:
    """A sparkline per series of the buckets' means."""
    points: dict[str, list[sparkline.Point]] = {}
    widest = max(len(bucket["device_id"]) for bucket in found)
    for bucket in found:
        device = f"{bucket['device_id']:<{widest}}  " if with_devices else ""
        points.setdefault(f"{device}{bucket['metric']}", []).append((bucket["start"], bucket["mean"]))
    yield from sparklines(points, [bucket["start"] for bucket in found], width)
