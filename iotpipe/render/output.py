"""Print and escape: all output of iotpipe goes through this module, so that no text can control the terminal.

Printed text may come from devices, AWS, files or foreign resources. Every character that is not printable is
shown as a Python escape (`\\x1b`): C0 and C1 control characters, and those that reorder or
hide text. Foreign text stays within its line, so that it cannot look like a message of iotpipe.
"""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Sequence
from typing import Any

import click

from iotpipe.errors import IotpipeError
from iotpipe.render.terminals import colours

_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
"""Invisible characters that Python considers printable: Default_Ignorable_Code_Point in
https://www.unicode.org/Public/UCD/latest/ucd/DerivedCoreProperties.txt
"""


def _is_seen(text: str) -> bool:
    """Whether all characters are printable and visible."""
    return text.isprintable() and not _UNSEEN.search(text)


def harmless(text: str) -> str:
    """The text on one line, with all unprintable and invisible characters escaped."""
    return text if _is_seen(text) else "".join(each if _is_seen(each) else ascii(each)[1:-1] for each in text)


def lines_of(text: str) -> list[str]:
    """The lines of a text, each escaped by `harmless`."""
    return [harmless(each) for each in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]


def keeping_lines(text: str) -> str:
    """The text escaped by `harmless`, with its line ends kept."""
    return "\n".join(map(harmless, text.split("\n")))


def say(text: str) -> None:
    """Print one line of the result: not cut, not wrapped, not coloured."""
    click.echo(harmless(text))


def note(text: str) -> None:
    """Print a line about the result on stderr."""
    click.echo(harmless(text), err=True)


def document(text: str) -> None:
    """Print a result of several lines; every line comes from iotpipe itself. It ends with a newline."""
    click.echo(keeping_lines(text), nl=False)


def answer(data: Any) -> None:
    """Print the result as JSON."""
    click.echo(as_json(data, indent=2))


def as_json(data: Any, indent: int | None = None) -> str:
    """JSON with unprintable characters escaped; outside of strings, the only ones are newlines."""
    return escaped_json(json.dumps(data, indent=indent, ensure_ascii=False))


def escaped_json(text: str) -> str:
    """The same JSON, with unprintable characters as JSON escapes."""
    return "\n".join(
        each if _is_seen(each) else "".join(one if _is_seen(one) else json.dumps(one)[1:-1] for one in each)
        for each in text.split("\n")
    )


def ask(question: str) -> bool:
    """Ask a yes-or-no question on stderr. Raises click.Abort on Ctrl-C."""
    return click.confirm(harmless(question), err=True)


def report(error: IotpipeError) -> None:
    """Print an error and its hint on stderr."""
    for text in _reported(error):
        click.echo(text, err=True, color=colours(sys.stderr))


def report_to_program(message: str, hint: str, code: int, problems: Sequence[Any] = ()) -> None:
    """Print an error as one line of JSON on stderr; `problems` are those of a configuration."""
    found = {"error": message, "hint": hint, "exit_code": code} | ({"problems": problems} if problems else {})
    click.echo(as_json(found), err=True)


def _reported(error: IotpipeError) -> Sequence[str]:
    first, *rest = lines_of(error.message)
    # Further lines are indented, so that none can look like another message.
    within = [each if each.startswith("  ") else f"  {each}" for each in rest]
    hint = [f"{click.style('hint', fg='cyan')}: {harmless(error.hint)}."] if error.hint else []
    return [f"{click.style('error', fg='red')}: {first}", *within, *hint]


def report_usage(error: click.ClickException) -> None:
    """Print click's usage error."""
    told = io.StringIO()
    error.show(file=told)
    usage, word, _ = told.getvalue().partition("Error: ")
    click.echo(usage, err=True, nl=False)
    note(f"{word}{error.format_message()}")
