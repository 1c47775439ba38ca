"""The functions' log lines as a source of counts."""

from __future__ import annotations

from collections.abc import Sequence

from iotpipe.names import HANDLERS, Names
from iotpipe.observer.snapshot import RANGES
from iotpipe.observer.source import Sampled
from iotpipe.observer.tally import STEPS, Tally
from iotpipe.operations.logs import OVERLAP, LogReader, TooManyEvents
from iotpipe.provision.run import Run

_LATE = 10_000
"""Milliseconds after which AWS has usually told a log line."""
_LOCAL_OVERLAP = 5_000
"""Milliseconds that each look reads again on this machine, where a line is there as soon as its call has ended."""

_MOST_AT_FIRST, _MOST = 10_000, 1600
"""The log lines of one function that a look on AWS may read: at first, and later. A line has about 600 bytes: more do
not fit one page of FilterLogEvents, of which an account gets five a second.
"""
_MOST_LOCAL = 400_000
_PAUSE = 60_000
"""Milliseconds without a look after which the next one reads as many lines as the first."""
_REST = 600
"""Seconds until log lines are tried again after they were too many."""


class LogLines(Sampled):
    """Reads what the functions log; only on this machine further back than the shortest range.

    `fits` says whether the lines are few enough to be read.
    """

    def __init__(self, names: Names, local: bool) -> None:
        super().__init__("counts", "log lines", 2 if local else 10)
        self._names = names
        self._local = local
        self._readers: list[LogReader] = []
        self._range = 0
        self._wanted = RANGES[0]
        self._rest_until = 0
        self._read_at = 0
        self.tally = Tally(0)
        self.told_until: int | None = None
        self.fits = True

    def want(self, range_seconds: int) -> None:
        """Read that far back from the next look on, if this is the place to read that many lines."""
        if self._local and range_seconds > self._wanted:
            self._wanted = range_seconds
            self._asked = None

    def read(self, run: Run, now: int) -> None:
        if now < self._rest_until:
            return
        readers, tally, pause = self._readers, self.tally, now - self._read_at
        if self._range < self._wanted or not self.fits or pause > self._wanted * 1000:
            readers, tally = self._from_the_start(run, now)
        elif pause > _PAUSE:
            self._may_read(readers, _MOST_AT_FIRST)
        try:
            # The last function first: what is accepted meanwhile is not stored before.
            for reader in reversed(readers):
                reader.run = run
                for event in reader.new():
                    tally.add(event)
        except TooManyEvents:
            self._give_up(now)
            if self._local:
                raise
            return
        tally.forget(now)
        self._may_read(readers, _MOST)
        self._read_at = now
        self._readers, self.tally, self._range, self.fits = readers, tally, self._wanted, True
        self.told_until = now if self._local else now - _LATE

    def _may_read(self, readers: Sequence[LogReader], most: int) -> None:
        for reader in readers:
            reader.most = _MOST_LOCAL if self._local else most

    def _from_the_start(self, run: Run, now: int) -> tuple[list[LogReader], Tally]:
        step = STEPS[self._wanted]
        since = (now - self._wanted * 1000) // step * step
        overlap = _LOCAL_OVERLAP if self._local else OVERLAP
        readers = [
            LogReader(run, each, self._names.log_group(each), since, phrase="milliseconds", overlap=overlap)
            for each in HANDLERS
        ]
        self._may_read(readers, _MOST_AT_FIRST)
        return readers, Tally(since)

    def _give_up(self, now: int) -> None:
        """Leave the lines alone for a while, and on this machine what is older than the shortest range for good."""
        self.fits, self.told_until = False, None
        self._rest_until = now if self._wanted > RANGES[0] else now + _REST * 1000
        self._wanted = RANGES[0]
