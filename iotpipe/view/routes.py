"""The API of the page: reads the parameters of a request and asks the source."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

from iotpipe.observer.snapshot import RANGES, DeviceList, Snapshot
from iotpipe.view.source import Source

_NUMBER = re.compile(r"[0-9]{1,15}", re.ASCII)

Parameters = Mapping[str, Sequence[str]]
Answer = Mapping[str, Any] | None
"""A JSON document; None if the page has this revision already."""


class BadRequest(ValueError):
    """Parameters that the page does not send."""


Route = Callable[[Parameters, Callable[[], bool]], Answer]
"""Answers a request with these parameters. The second argument tells whether nobody waits for the answer any more."""


class Api:
    """The routes below /api. The page asks again every `every` seconds, or less often if the source says so."""

    def __init__(self, source: Source, every: float) -> None:
        self._source, self._every = source, every
        self.routes: Mapping[tuple[str, str], Route] = {
            ("GET", "/api/snapshot"): self._snapshot,
            ("GET", "/api/devices"): self._devices,
            ("GET", "/api/enrolment"): self._enrolment,
            ("GET", "/api/device"): self._device,
            ("GET", "/api/series"): self._series,
            ("GET", "/api/rows"): self._rows,
            # No GET, since looking at a dead letter raises its receive count.
            ("POST", "/api/dead-letters"): self._dead_letters,
        }

    def knows(self, path: str) -> bool:
        """Whether the path is one of the API, with whatever method."""
        return any(path == known for _, known in self.routes)

    def _snapshot(self, given: Parameters, gone: Callable[[], bool]) -> Answer:
        seconds = _number(given, "range", RANGES[0])
        if seconds not in RANGES:
            raise BadRequest(f"range is one of {', '.join(map(str, RANGES))}")
        told = self._source.snapshot(seconds)
        return _unless_known(replace(told, every=max(told.every, self._every)), given)

    def _devices(self, given: Parameters, gone: Callable[[], bool]) -> Answer:
        return _unless_known(self._source.devices(), given)

    def _enrolment(self, given: Parameters, gone: Callable[[], bool]) -> Answer:
        return self._source.enrolment().as_json()

    def _device(self, given: Parameters, gone: Callable[[], bool]) -> Answer:
        return self._source.device(_one(given, "device"))

    def _series(self, given: Parameters, gone: Callable[[], bool]) -> Answer:
        start, end = _number(given, "from"), _number(given, "to")
        devices, metrics, every = given.get("device", ()), given.get("metric", ()), _one(given, "every")
        return self._source.series(devices, metrics, every, start, end, gone)

    def _rows(self, given: Parameters, gone: Callable[[], bool]) -> Answer:
        table, limit = _one(given, "table", "processed"), _number(given, "limit", 20)
        return {"items": list(self._source.rows(_one(given, "device"), table, limit))}

    def _dead_letters(self, given: Parameters, gone: Callable[[], bool]) -> Answer:
        return self._source.dead_letters()


def parameters(query: str) -> Parameters:
    """The parameters of a URL. Raises BadRequest if they cannot be read."""
    try:
        return parse_qs(query, keep_blank_values=True, strict_parsing=bool(query), errors="strict", max_num_fields=50)
    except ValueError:
        raise BadRequest("the parameters cannot be read") from None


def _unless_known(told: Snapshot | DeviceList, given: Parameters) -> Answer:
    return None if told.revision == _number(given, "revision", -1) else told.as_json()


def _one(given: Parameters, name: str, default: str | None = None) -> str:
    values = given.get(name, [] if default is None else [default])
    if len(values) != 1:
        raise BadRequest(f"{name} is needed once")
    return values[0]


def _number(given: Parameters, name: str, default: int | None = None) -> int:
    if default is not None and name not in given:
        return default
    text = _one(given, name)
    if not _NUMBER.fullmatch(text):
        raise BadRequest(f"{name} is not a number")
    return int(text)
