"""Progress on stderr: drawn on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from iotpipe.provision.run import Event
from iotpipe.render import console
from iotpipe.render.console import Out
from iotpipe.render.terminals import terminal

_DONE = {"created": "green", "updated": "yellow", "deleted": "red"}


@contextmanager
def progress() -> Iterator[Callable[[Event], None]]:
    """Report events on stderr until the block ends."""
    shown = _Drawn(console.stderr()) if terminal(sys.stderr) else _Lines(console.stderr())
    try:
        yield shown.tell
    finally:
        shown.close()


class _Lines:
    """One line per finished resource and per reason for a wait, and at the end the totals and the time."""

    def __init__(self, out: Out) -> None:
        self.out = out
        self.began: dict[str, float] = {}
        self.waiting: dict[str, str] = {}
        self.counts: Counter[str] = Counter()
        self.start = 0.0
        self.lock = threading.Lock()

    def tell(self, event: Event) -> None:
        with self.lock:
            if event.phase == "started":
                self.began[event.address] = time.monotonic()
                self.start = self.start or time.monotonic()
            elif event.phase == "waiting":
                self._wait(event)
            elif event.phase in ("done", "skipped", "kept"):
                self.waiting.pop(event.address, None)
                self.out.line(self._line(event))
                self.counts[event.detail or event.phase] += 1

    def close(self) -> None:
        if self.start:
            done = ", ".join(f"{number} {word}" for word, number in self.counts.items())
            self.out.line(f"{done or 'nothing done'} in {time.monotonic() - self.start:.1f} s")

    def _wait(self, event: Event) -> None:
        reason = event.detail.split(":")[0]
        if self.waiting.get(event.address) != reason:
            self.out.line("  … ", event.address, (f"  {event.detail}", "dim"))
        self.waiting[event.address] = reason

    def _line(self, event: Event) -> Text:
        word = event.detail or event.phase
        began = self.began.pop(event.address, None)
        took = f"  {time.monotonic() - began:.1f} s" if began is not None else ""
        return console.line((f"  {word:<8} ", _DONE.get(word, "cyan")), event.address, (took, "dim"))


class _Drawn(_Lines):
    """A live display that also shows the running resources at the bottom, with the reason if one waits."""

    def __init__(self, out: Out) -> None:
        super().__init__(out)
        self.live: Live | None = None
        self.spinner = Spinner("dots")

    def tell(self, event: Event) -> None:
        if event.phase == "started" and self.live is None:
            self.live = Live(console=self.out.rich, get_renderable=self._running, refresh_per_second=10, transient=True)
            self.live.start()
        super().tell(event)

    def close(self) -> None:
        if self.live:
            self.live.stop()
        super().close()

    def _wait(self, event: Event) -> None:
        if self.live is None:
            super()._wait(event)
        self.waiting[event.address] = event.detail

    def _running(self) -> Table:
        grid, now = Table.grid(padding=(0, 1)), time.monotonic()
        for address, began in sorted(self.began.copy().items(), key=lambda item: item[1])[:12]:
            reason = self.waiting.get(address, "")
            grid.add_row(self.spinner, address, Text(f"{now - began:.0f} s", "dim"), Text(reason, "yellow"))
        return grid
