"""Reads the tables with the code of the functions, directly: through the API the observer would count itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from iotpipe.errors import ResourceError, UsageError
from iotpipe.handlers import devices, query, query_parameters, rows, table_reads
from iotpipe.handlers.clock import Budget
from iotpipe.handlers.page_token import Place
from iotpipe.handlers.routes import Call
from iotpipe.handlers.settings import Settings
from iotpipe.handlers.telemetry import Line
from iotpipe.handlers.web import Refused, Request, Unavailable
from iotpipe.names import Names
from iotpipe.provision.run import Run

MAX_BUCKETS = 5000
"""Of one answer of `series`."""
UNAVAILABLE = "Unavailable"
"""The code of a ResourceError about a table that cannot be read."""

_SECONDS = 28.0
_SECONDS_FOR_ALL_DEVICES = 300.0

Parameters = Mapping[str, Sequence[str]]


class Tables:
    """The tables of one environment."""

    def __init__(self, names: Names) -> None:
        self._names = {"processed": names.processed_table, "raw": names.raw_table}

    def devices(self, run: Run, most: int) -> list[tuple[str, list[str]]]:
        """Up to `most` devices in DynamoDB's order, each with its newest 20 rows as JSON texts, the newest first.

        Raises ResourceError.
        """
        found: list[tuple[str, list[str]]] = []
        with self._reading(run):
            for device in devices.ids(_call({}, Budget(_SECONDS_FOR_ALL_DEVICES, None)), ""):
                found.append((device, _rows(device, "processed", 20)))
                if len(found) == most:
                    break
        return found

    def rows(self, run: Run, device: str, table: str, limit: int) -> list[str]:
        """The newest rows of a device, the newest first, as JSON texts. Raises UsageError and ResourceError."""
        with self._reading(run):
            return _rows(device, table, limit)

    def series(self, run: Run, parameters: Parameters, gone: Callable[[], bool]) -> dict[str, Any]:
        """All pages of the answer of GET /query with `every`, up to MAX_BUCKETS, or until nobody waits for it.

        Raises UsageError and ResourceError.
        """
        joined: dict[tuple[str, str], dict[str, Any]] = {}
        count, page = 0, dict(parameters)
        with self._reading(run):
            while True:
                page["limit"] = [str(MAX_BUCKETS - count)]
                answer = json.loads(query.ROUTES["GET /query"](_call(page, _WhileWanted(_SECONDS, gone)))["body"])
                for series in answer["series"]:
                    _join(joined, series)
                count += answer["count"]
                if "next_token" not in answer or count >= MAX_BUCKETS:
                    break
                page["next_token"] = [answer["next_token"]]
        return {"every": answer["every"], "count": count, "series": list(joined.values())}

    @contextmanager
    def _reading(self, run: Run) -> Iterator[None]:
        try:
            with table_reads.reading(run.client("dynamodb"), self._names):
                yield
        except Refused as refused:
            raise UsageError("; ".join(f"{each['field']}: {each['message']}" for each in refused.details)) from None
        except Unavailable as error:
            raise ResourceError(str(error), code=UNAVAILABLE) from None


class _WhileWanted(Budget):
    """A time that is over as soon as nobody waits for the answer: the functions ask before each call."""

    def __init__(self, seconds: float, gone: Callable[[], bool]) -> None:
        super().__init__(seconds, None)
        self._gone = gone

    def remaining(self) -> float:
        return 0 if self._gone() else super().remaining()


def _call(parameters: Parameters, budget: Budget) -> Call:
    lists = {name: list(values) for name, values in parameters.items()}
    return Call(Request({}, lists, "", "", {}, ""), Settings(), budget, Line("observer", None))


def _rows(device: str, table: str, limit: int) -> list[str]:
    parameters = {"device_id": [device], "table": [table], "limit": [str(limit)], "order": ["desc"]}
    call = _call(parameters, Budget(_SECONDS, None))
    found, _ = rows.fetch(call, query_parameters.read(call.request), Place(device, ""))
    return found


def _join(joined: dict[tuple[str, str], dict[str, Any]], series: dict[str, Any]) -> None:
    """Append a page's buckets to those of the pages before."""
    known = joined.setdefault((series["device_id"], series["metric"]), series)
    if known is not series:
        for name, values in series.items():
            if isinstance(values, list):
                known[name] += values
