"""Print the report of `iotpipe doctor`: one line per check, with its remedy below."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.table import Table
from rich.text import Text

from iotpipe.checks.finding import OK, PROBLEM, RESULTS, UNKNOWN, WARNING, Finding
from iotpipe.provision.aws import Aws
from iotpipe.render import console, output
from iotpipe.render.console import Out
from iotpipe.render.terminals import terminal

_STYLES = {OK: "green", WARNING: "yellow", PROBLEM: "bold red", UNKNOWN: "cyan"}
_COUNTED = {
    PROBLEM: ("problem", "problems"),
    WARNING: ("warning", "warnings"),
    UNKNOWN: ("cannot be told", "cannot be told"),
    OK: ("ok", "ok"),
}
_RESULT, _CHECK = max(map(len, _STYLES)), 18
_INDENT = 2 + _RESULT + 2 + _CHECK + 2


@contextmanager
def looking(name: str) -> Iterator[None]:
    """Show a spinner on a terminal: building the layer takes a while."""
    if not terminal(sys.stderr):
        yield
        return
    with console.stderr().status(f"examining {name}"):
        yield


def show_report(name: str, aws: Aws | None, findings: Sequence[Finding], as_json: bool) -> None:
    """Print the findings on stdout in the order of the checks; `aws` is None if none was reached."""
    if as_json:
        output.answer(_data(name, aws, findings))
        return
    out = console.stdout()
    out.line((name, "bold"), f" in account {aws.account}, {aws.region}" if aws else "")
    if terminal(sys.stdout):
        out.table(_table(findings))
    else:
        for each in findings:
            for told in _lines(each):
                out.line(told)
    counts = Counter(each.result for each in findings)
    out.line(", ".join(f"{counts[each]} {_COUNTED[each][counts[each] > 1]}" for each in RESULTS if counts[each]) + ".")


def show_untold(findings: Sequence[Finding], out: Out) -> None:
    """Print the checks that could not be made, one line each."""
    for each in findings:
        if each.result == UNKNOWN:
            out.line((UNKNOWN, _STYLES[UNKNOWN]), f" {each.check}: {each.found}. {each.remedy}")


def _data(name: str, aws: Aws | None, findings: Sequence[Finding]) -> dict[str, Any]:
    summary = Counter(each.result for each in findings)
    return {
        "environment": name,
        "account": aws.account if aws else None,
        "region": aws.region if aws else None,
        "summary": {each: summary[each] for each in RESULTS},
        "findings": [vars(each) for each in findings],
    }


def _table(findings: Sequence[Finding]) -> Table:
    """The table for a terminal: long texts wrap within their column."""
    grid = Table.grid(padding=(0, 2, 0, 0), pad_edge=True)
    for no_wrap in (True, True, False):
        grid.add_column(no_wrap=no_wrap, overflow="fold")  # otherwise rich cuts off the end of a long ARN
    for each in findings:
        remedy = [console.line(("→ ", "dim"), each.remedy)] if each.remedy else []
        text = Text("\n").join([console.line(each.found), *remedy])
        grid.add_row(Text(f"  {each.result}", _STYLES[each.result]), each.check, text)
    return grid


def _lines(finding: Finding) -> Iterator[str]:
    yield f"  {finding.result:<{_RESULT}}  {finding.check:<{_CHECK}}  {finding.found}"
    if finding.remedy:
        yield f"{'':<{_INDENT}}→ {finding.remedy}"
