"""Buckets of time from GET /query with `every`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from iotpipe.readings import api_pages
from iotpipe.readings.api_client import Api, Parameters
from iotpipe.readings.stored_rows import Page

MAX_BUCKETS = 5000
"""The most buckets that one GET returns."""

FIGURES = ("count", "min", "max", "sum", "mean", "last")

Bucket = dict[str, Any]
"""One metric of one device in one span of time: `device_id`, `metric`, `start` in epoch milliseconds, and FIGURES."""


def pages(api: Api, parameters: Parameters) -> Iterator[Page]:
    """All pages of a query with `every`: buckets by device, time and metric. Raises what `stored_rows.pages` raises."""
    descending = parameters.get("order") == "desc"
    given = parameters["device_id"]
    devices = [given] if isinstance(given, str) else [*given]
    for document in api_pages.documents(api, "/query", parameters):
        found = [bucket for series in document["series"] for bucket in _of_series(series)]
        found.sort(key=lambda bucket: bucket["metric"])
        found.sort(key=lambda bucket: bucket["start"], reverse=descending)
        found.sort(key=lambda bucket: devices.index(bucket["device_id"]))
        yield Page(found, "next_token" in document)


def _of_series(series: dict[str, Any]) -> Iterator[Bucket]:
    head = {"device_id": series["device_id"], "metric": series["metric"]}
    names = ("start", *FIGURES)
    for values in zip(*(series[name] for name in names), strict=True):
        yield head | dict(zip(names, values, strict=True))
