"""Threads that send until everything is sent, or until Ctrl-C."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from iotpipe.provision.run import Run


def run_until_done(works: Iterable[Callable[[], None]], run: Run) -> bool:
    """Do each work in a thread of its own, and wait for all. Returns whether the user interrupted it.

    Ctrl-C sets `run.stop`, upon which the works have to end.
    """
    threads = [threading.Thread(target=work, daemon=True) for work in works]
    for thread in threads:
        thread.start()
    try:
        _join(threads)
    except KeyboardInterrupt:
        run.stop.set()
        _join(threads)
        return True
    return False


def _join(threads: Iterable[threading.Thread]) -> None:
    for thread in threads:
        thread.join()
