"""Ask before something is deleted or replaced."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from iotpipe.errors import UsageError
from iotpipe.render import output
from iotpipe.render.terminals import terminal

if TYPE_CHECKING:
    pass


def confirm(yes: bool, question: str) -> None:
    """Ask unless --yes was given. Raises UsageError for a no, and without a terminal."""
    if yes:
        return
    if not (terminal(sys.stdin) and terminal(sys.stderr)):
        raise UsageError("confirmation needs a terminal; nothing was changed", "Pass --yes to go ahead")
    from iotpipe.cli.session import answerable

    with answerable():
        agreed = output.ask(question)
    if not agreed:
        raise UsageError("not confirmed; nothing was changed")
