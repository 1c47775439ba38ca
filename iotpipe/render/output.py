"""The only way out: all that iotpipe prints goes through here, and none of it can make a terminal do something.

What is printed may come from devices, from AWS, from files or from somebody else's resource. Whatever is not a
printable character is shown as Python writes it (`\\x1b`): control characters, both sets, and those that reorder or
hide text. A text from elsewhere stays within its line, so that it cannot pose as one of iotpipe's own.
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
"""What Python calls printable and nobody sees: Default_Ignorable_Code_Point in
https://www.unicode.org/Public/UCD/latest/ucd/DerivedCoreProperties.txt
"""


def _is_seen(text: str) -> bool:
    """Whether each character is one that is shown, and does nothing else."""
    return text.isprintable() and not _UNSEEN.search(text)


def harmless(text: str) -> str:
    """The text in one line, with everything escaped that is not printable or not seen."""
    return text if _is_seen(text) else "".join(each if _is_seen(each) else ascii(each)[1:-1] for each in text)


def lines_of(text: str) -> list[str]:
    """The lines of a text, each harmless."""
    return [harmless(each) for each in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]


def keeping_lines(text: str) -> str:
    """The text with everything escaped but where its lines end."""
    return "\n".join(map(harmless, text.split("\n")))


def say(text: str) -> None:
    """One line of an answer, as it is: not cut, not wrapped, not coloured."""
    click.echo(harmless(text))


def note(text: str) -> None:
    """One line about the answer, on stderr."""
    click.echo(harmless(text), err=True)


def document(text: str) -> None:
    """An answer of several lines of which iotpipe has written each; it ends with a newline."""
    click.echo(keeping_lines(text), nl=False)


def answer(data: Any) -> None:
    """An answer for a program."""
    click.echo(as_json(data, indent=2))


def as_json(data: Any, indent: int | None = None) -> str:
    """JSON in which what is not printable is escaped: outside of texts there is nothing of the kind but newlines."""
    return escaped_json(json.dumps(data, indent=indent, ensure_ascii=False))


def escaped_json(text: str) -> str:
    """The same JSON, with what is not printable escaped as JSON does it."""
    return "\n".join(
        each if _is_seen(each) else "".join(one if _is_seen(one) else json.dumps(one)[1:-1] for one in each)
        for each in text.split("\n")
    )


def ask(question: str) -> bool:
    """Whether somebody says yes, on stderr. Raises click.Abort on Ctrl-C."""
    return click.confirm(harmless(question), err=True)


def report(error: IotpipeError) -> None:
    """What went wrong, and what to do about it."""
    for text in _reported(error):
        click.echo(text, err=True, color=colours(sys.stderr))


def report_to_program(message: str, hint: str, code: int, problems: Sequence[Any] = ()) -> None:
    """The same for a program, as one line of JSON on stderr; `problems` are those of a configuration."""
    found = {"error": message, "hint": hint, "exit_code": code} | ({"problems": problems} if problems else {})
    click.echo(as_json(found), err=True)


def _reported(error: IotpipeError) -> Sequence[str]:
    first, *rest = lines_of(error.message)
    # No further line begins at the margin: it could pose as another message.
    within = [each if each.startswith("  ") else f"  {each}" for each in rest]
    hint = [f"{click.style('hint', fg='cyan')}: {harmless(error.hint)}."] if error.hint else []
    return [f"{click.style('error', fg='red')}: {first}", *within, *hint]


def report_usage(error: click.ClickException) -> None:
    """What was wrong with what was typed, in click's words."""
    told = io.StringIO()
    error.show(file=told)
    usage, word, _ = told.getvalue().partition("Error: ")
    click.echo(usage, err=True, nl=False)
    note(f"{word}{error.format_message()}")
