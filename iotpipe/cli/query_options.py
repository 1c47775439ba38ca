"""What `iotpipe query` is asked for: options that contradict each other, and the API's parameters."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from iotpipe.cli.query import FORMATS
from iotpipe.errors import IotpipeError, UsageError
from iotpipe.local import install_hint
from iotpipe.readings.api_client import Parameters
from iotpipe.readings.query import DEVICE_ID, MAX_DEVICES, MAX_METRICS, MAX_NAME_LENGTH
from iotpipe.times import ago, of_text

_EVERY = re.compile("[1-9][0-9]{0,4}[smhd]")
_OFFSET = re.compile("[+-]([01][0-9]|2[0-3]):[0-5][0-9]")
_DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
# The API takes no time without a zone.
_TIME = re.compile(f"[0-9]{{1,20}}|{_DAY.pattern}(.{{9,}}([Zz]|[+-][0-9]{{2}}:[0-9]{{2}}))?")


@dataclass(frozen=True)
class Asked:
    """The arguments and options as they were typed."""

    devices: tuple[str, ...]
    metrics: tuple[str, ...]
    table: str
    date: str | None
    start: str | None
    end: str | None
    last: str | None
    every: str | None
    offset: str | None
    limit: int | None
    everything: bool
    order: str | None
    as_csv: bool
    file: Path | None
    how: str | None
    overwrite: bool
    plot: bool
    follow: bool
    as_json: bool

    def check(self) -> None:
        """Raise UsageError for what makes no sense, before anything is read."""
        self._check_names()
        if self.as_csv and self.as_json:
            raise UsageError("--csv and --json exclude each other", "Use one of them")
        if self.everything and self.limit is not None:
            raise UsageError("--all and --limit exclude each other", "Use one of them")
        self._check_period()
        self._check_buckets()
        self._check_file()
        self._check_plot()
        self._check_follow()

    @property
    def has_start(self) -> bool:
        """Whether the period has a beginning."""
        return bool(self.start or self.date or self.last)

    @property
    def format(self) -> str:
        """The format of the file."""
        ending = self.file.suffix.lower().removeprefix(".") if self.file else ""
        return self.how or (ending if ending in FORMATS else FORMATS[0])

    @property
    def unit(self) -> str:
        """What the answer has."""
        return "buckets" if self.every else "rows"

    def parameters(self, now: float) -> Parameters:
        """The API's parameters."""
        start, end = self._ends
        given = {
            "device_id": self.devices,
            "metric": self.metrics,
            "table": self.table,
            "event_date": self.date,
            "from": _moment(start, now),
            "to": _moment(end, now),
            "every": self.every,
            "offset": self.offset,
            "order": self.order or "desc",
        }
        return {name: value for name, value in given.items() if value}

    def period(self, now: float) -> tuple[int | None, int | None]:
        """The first and the last epoch millisecond; None where the options do not say it."""
        start, end = (self.date, self.date) if self.date else self._ends
        start, end = _moment(start, now), _moment(end, now)
        return of_text(start) if start else None, of_text(end, last=True) if end else None

    @property
    def _ends(self) -> tuple[str | None, str | None]:
        return (self.last, "0s") if self.last else (self.start, self.end)

    def _check_names(self) -> None:
        for what, names, most in (("device", self.devices, MAX_DEVICES), ("metric", self.metrics, MAX_METRICS)):
            if twice := _repeated(names):
                raise UsageError(f"the {what} {twice} is named twice", f"Name each {what} once")
            if len(names) > most:
                raise UsageError(
                    f"{len(names)} {what}s are more than one query may ask for", f"Name at most {most} of them"
                )
        for device in self.devices:
            if not re.fullmatch(DEVICE_ID, device):
                hint = "A name has 1 to 128 of A-Z a-z 0-9 . _ : / # -; several devices stand apart, with spaces"
                raise UsageError(f"no device can be named {device!r}", hint)
        if any(not 1 <= len(name) <= MAX_NAME_LENGTH or not _is_text(name) for name in self.metrics):
            hint = "One that is not ASCII has to be in UTF-8, also for the shell: `LC_ALL=C.UTF-8`"
            raise UsageError(f"--metric needs a name of 1 to {MAX_NAME_LENGTH} characters", hint)

    def _check_period(self) -> None:
        given = {"--date": self.date, "--from": self.start, "--to": self.end}
        for name, text in given.items():
            # For example `--from "$SINCE"` with SINCE unset: without it, the period would have no beginning.
            if text == "":
                raise UsageError(f"{name} is empty", "Give it a time, or leave it out")
        if self.date and (self.start or self.end):
            raise UsageError("--date excludes --from and --to", "Leave out --from and --to, or --date")
        if self.last and any(given.values()):
            raise UsageError("--last excludes --date, --from and --to", "Use --last alone, or --from and --to")
        if self.date and not (_DAY.fullmatch(self.date) and _is_time(self.date)):
            raise UsageError(f"--date: {self.date[:40]!r} is not a day", "Use YYYY-MM-DD, such as 2026-01-31")
        for name, text in given.items():
            if text and not _is_time(text):
                hint = "Use 30m, 6h or 7d ago, a day such as 2026-01-31, 2026-01-31T12:00:00Z or epoch milliseconds"
                raise UsageError(f"{name}: {text[:40]!r} is not a time", hint)
        if self.last is not None and ago(self.last, 0) is None:
            raise UsageError(
                f"{self.last!r} is not a duration", "Use a number and s, m, h or d, such as 90m, 24h or 7d"
            )

    def _check_buckets(self) -> None:
        if self.every is None:
            if self.offset is not None:
                raise UsageError("--offset needs --every", "It moves the beginning of the buckets of --every")
            return
        if not _EVERY.fullmatch(self.every):
            hint = "Use a number and s, m, h or d, such as 30s, 15m, 1h or 7d"
            raise UsageError(f"{self.every!r} is not a length of buckets", hint)
        if self.offset is not None and not _OFFSET.fullmatch(self.offset):
            raise UsageError(f"{self.offset!r} is not an offset from UTC", "Use +HH:MM or -HH:MM, such as +02:00")
        if self.table != "processed":
            raise UsageError("--every excludes --table raw", "Buckets are made of the processed table")
        if not self.has_start:
            raise UsageError("--every needs --last, --from or --date", "Say from when on, such as --last 24h")

    def _check_file(self) -> None:
        if self.file is None:
            if self.how or self.overwrite:
                raise UsageError("--format and --overwrite need -o", "Name the file with -o FILE")
            return
        if self.file in (Path(), Path("-")):
            raise UsageError("-o needs the name of a file", "Leave it out and use --csv or --json for stdout")
        if self.as_csv:
            raise UsageError("--csv and -o exclude each other", "Use -o with --format csv")
        if self.format == "parquet" and not install_hint.installed("parquet"):
            raise UsageError("Parquet files need pyarrow, which is not installed", install_hint.remedy("parquet"))
        try:
            exists, is_regular = self.file.exists(), self.file.is_file()
        except OSError as error:  # its name is too long, or a directory above it may not be searched
            raise cannot_write(self.file, error) from error
        if exists and not self.overwrite:
            raise UsageError(f"{self.file} exists", "Name another file, or add --overwrite")
        if exists and not is_regular:
            raise UsageError(f"{self.file} is not a regular file", "Name another file")

    def _check_plot(self) -> None:
        if self.plot and (self.as_csv or self.as_json or self.file):
            raise UsageError("--plot excludes --csv, --json and -o", "Leave out one of them")
        if self.plot and self.table != "processed":
            raise UsageError("--plot excludes --table raw", "It draws the processed table, which has the same numbers")

    def _check_follow(self) -> None:
        if not self.follow:
            return
        others = {
            "--every": self.every,
            "--plot": self.plot,
            "--csv": self.as_csv,
            "-o": self.file,
            "--limit": self.limit,
            "--all": self.everything,
            "--order": self.order,
            "--date": self.date,
            "--to": self.end,
        }
        for name, value in others.items():
            if value:
                raise UsageError(f"--follow excludes {name}", "It prints each row as it comes; --from begins earlier")


def cannot_write(file: Path, error: OSError) -> IotpipeError:
    """The error that a file cannot be written."""
    return IotpipeError(f"cannot write {file}: {error.strerror or error}", "Name another file with -o")


def _is_time(text: str) -> bool:
    return ago(text, 0) is not None or (bool(_TIME.fullmatch(text)) and of_text(text) is not None)


def _is_text(name: str) -> bool:
    """Whether it came as UTF-8: Python makes lone surrogates of other bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _repeated(names: Sequence[str]) -> str | None:
    return next((name for name, count in Counter(names).items() if count > 1), None)


def _moment(text: str | None, now: float) -> str | None:
    """A time as the API accepts it; an age such as 6h is converted to epoch milliseconds."""
    found = ago(text, now) if text else None
    return text if found is None else str(found)
