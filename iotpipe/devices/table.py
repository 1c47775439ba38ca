"""Read the table of devices to enrol: a CSV file with a column `device_id` and perhaps a column `csr`."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from iotpipe.devices import device_names, keys
from iotpipe.devices.device_names import Device
from iotpipe.devices.keys import Request
from iotpipe.errors import UsageError
from iotpipe.names import Names

_MOST_SHOWN = 50


@dataclass(frozen=True)
class Row:
    """A device, and the request that it made itself; None if its key is made here."""

    device: Device
    request: Request | None


def read(path: Path, names: Names) -> list[Row]:
    """The rows in the order of the file. The path in `csr` is relative to the file.

    Raises UsageError with every bad row.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = reader.fieldnames or []
            if "device_id" not in columns:
                raise UsageError(f"{path} has no column device_id", f"Its first line is {','.join(columns) or 'empty'}")
            found = [(reader.line_num, each) for each in reader]
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} is no CSV file in UTF-8: {error}") from error
    if not found:
        raise UsageError(f"{path} lists no device")
    return _checked(path, names, found)


def _checked(path: Path, names: Names, found: list[tuple[int, dict[str, str]]]) -> list[Row]:
    rows: list[Row] = []
    problems: list[str] = []
    lines: dict[str, int] = {}
    """The line of each id and each key that was there."""
    for line, cells in found:
        device_id, file = (cells.get("device_id") or "").strip(), (cells.get("csr") or "").strip()
        device = device_names.device(names, device_id)
        problem = device_names.problem(names, device_id) if device_id else "no device_id"
        request = None
        if file and not problem:
            try:
                request = keys.read_request(path.parent / file, device.thing)
            except UsageError as error:
                problem = error.message
        for what, value in (("device", device_id), ("key", request.key if request else "")):
            if value and not problem and (before := lines.setdefault(f"{what} {value}", line)) != line:
                problem = f"the same {what} as in line {before}"
        if problem:
            problems.append(f"  line {line}: {problem}")
        else:
            rows.append(Row(device, request))
    if problems:
        more = [f"  and {len(problems) - _MOST_SHOWN} more"] if len(problems) > _MOST_SHOWN else []
        text = "\n".join([f"{path} has {len(problems)} bad rows:", *problems[:_MOST_SHOWN], *more])
        raise UsageError(text, f"Nothing was changed. {device_names.RULE}")
    return rows
