"""What people and programs see: plans, progress and results. Results go to stdout, all else to stderr."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from iotpipe import console, output
from iotpipe.console import Out
from iotpipe.errors import Problem
from iotpipe.provision.aws import Aws
from iotpipe.provision.plan import Plan, Step, recovery
from iotpipe.provision.resource import Resource
from iotpipe.provision.run import Event, Run
from iotpipe.provision.teardown import TakenDown, Teardown
from iotpipe.terminals import terminal

_SIGNS = {
    "create": ("+", "green"),
    "update": ("~", "yellow"),
    "delete": ("-", "red"),
    "keep": ("=", "cyan"),
    "forget": ("·", "dim"),
}
_DONE = {"created": "green", "updated": "yellow", "deleted": "red"}


def problems(name: str, found: Sequence[Problem]) -> dict[str, Any]:
    """The problems of a configuration, for a program."""
    return {"environment": name, "valid": not found, "problems": [vars(each) for each in found]}


# Plans


def plan_data(name: str, aws: Aws, plan: Plan) -> dict[str, Any]:
    """A plan for a program."""
    return {
        "environment": name,
        "account": aws.account,
        "region": aws.region,
        "summary": dict(Counter(step.action for step in plan.steps)),
        "steps": [
            {
                "address": step.address,
                "action": step.action,
                "drifted": step.drifted,
                "missing": step.missing,
                "refusal": step.refusal,
                "note": step.note,
                "adopted": step.adopted,
                "taken_off": list(step.taken_off),
                "changes": [vars(change) for change in step.changes],
            }
            for step in plan.steps
        ],
        "later": [{"address": step.address, "refusal": step.refusal} for step in plan.later],
        "foreign": foreign_data(plan),
        "unread": list(plan.unread),
    }


def foreign_data(plan: Plan) -> list[dict[str, str]]:
    """What others added, for a program."""
    return [
        {name: getattr(each, name) for name in ("address", "subject", "risk", "found", "instead")}
        for each in plan.foreign
    ]


def show_plan(name: str, aws: Aws, plan: Plan, verbose: bool, out: Out) -> None:
    """A plan for a person: every step that is to be done, and of an update every property.

    That what is adopted gets the environment's tags goes without saying.
    """
    out.line((name, "bold"), f" in account {aws.account}, {aws.region}")
    for step in plan.steps:
        if step.action == "none" and not step.refusal:
            continue
        out.line(_step_line(step))
        if step.action == "update" or verbose:
            for change in step.changes:
                if verbose or not (step.adopted and change.property.startswith("Tags.iotpipe:")):
                    out.line(_change_line(step, change))
    show_foreign(out, plan)
    _show_later(out, plan)
    counts = Counter(step.action for step in plan.steps)
    drifted = sum(step.drifted for step in plan.steps)
    if not plan.pending:
        out.line(f"Nothing to do: {counts['none']} resources are as declared.")
        return
    said = [f"{counts[action]} to {action}" for action in ("create", "update", "delete") if counts[action]]
    unchanged = [f"{counts['none']} unchanged"] if counts["none"] else []
    out.line(", ".join([*said, *unchanged, *([f"{drifted} drifted"] if drifted else [])]) + ".")


def _step_line(step: Step) -> Text:
    sign, style = _SIGNS.get(step.action, (" ", ""))
    note = step.note or ("missing: somebody deleted it" if step.missing else "adopted" if step.adopted else "")
    return console.line((f"  {sign} {step.action:<6}  ", style), step.address, (f"  ({note})" if note else "", "dim"))


def _change_line(step: Step, change: Any) -> Text:
    drift = ("  drift: somebody changed it", "magenta") if change.drift else ("", "")
    if step.action == "create":
        return console.line(("      ", ""), f"{change.property}: ", (_short(change.after), "green"))
    before, after = (_short(change.before), "red"), (_short(change.after), "green")
    return console.line("      ", f"{change.property}: ", before, " → ", after, drift)


def _show_later(out: Out, plan: Plan) -> None:
    """What is left alone since `--adopt` names other resources."""
    refused = [step.address for step in plan.later if step.refusal]
    pending = [step.address for step in plan.later if step.action != "none" and not step.refusal]
    for told, left in (("not adopted yet", refused), ("to a later `iotpipe up`", pending)):
        if left:
            out.line(("  = leave   ", "cyan"), f"{len(left)} {told}: {', '.join(left)}")


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 160 else f"{text[:157]}..."


_RISKS = {"opens": "bold red", "drains": "red", "stops": "red", "hides": "yellow", "alters": "cyan"}


def show_foreign(out: Out, plan: Plan) -> None:
    """What others added to the resources, worst first, and what could not be looked at."""
    for each in plan.foreign:
        risk = (f"{each.risk:<6}  ", _RISKS[each.risk])
        out.line(("  ! foreign ", "red"), risk, f"{each.address}: {each.found}")
        if each.instead:
            out.line(f"      {each.instead}")
    for reason in plan.unread:
        out.line(("  ? not read ", "cyan"), reason)
    if plan.foreign:
        removed = {len(plan.foreign): "removes them", 0: "leaves them"}.get(
            len(plan.removable), f"removes {len(plan.removable)} of them"
        )
        out.line(f"{len(plan.foreign)} foreign: `iotpipe up --strict` {removed}.")


# Progress


@contextmanager
def progress() -> Iterator[Callable[[Event], None]]:
    """Tells what goes on: drawn on a terminal, as plain lines elsewhere."""
    shown = _Drawn(console.stderr()) if terminal(sys.stderr) else _Lines(console.stderr())
    try:
        yield shown.tell
    finally:
        shown.close()


class _Lines:
    """One line per thing done, one per reason for a wait, and at the end how much was done in what time."""

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
        return console.line((f"  {word:<9}", _DONE.get(word, "cyan")), event.address, (took, "dim"))


class _Drawn(_Lines):
    """What runs at the moment stands at the bottom, with its reason where it waits."""

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


# Results


def show_outputs(found: Mapping[str, str], as_json: bool) -> None:
    """The outputs on stdout."""
    if as_json:
        output.answer(dict(found))
        return
    width = max(map(len, found), default=0)
    out = console.stdout()
    for name, value in found.items():
        out.line((f"{name:<{width}}", "bold"), f"  {value}")


def show_teardown(name: str, aws: Aws, looked: Teardown, delete_data: bool) -> None:
    """What `down` is about to do."""
    out = console.stderr()
    out.line((name, "bold"), f" in account {aws.account}, {aws.region}")
    tables = ", the tables and all their data among them" if delete_data else ""
    out.line(f"  {len(looked.doomed)} resources will be deleted{tables}")
    for address in sorted(looked.found.keys() & looked.doomed.keys()):
        out.line(("  - delete ", "red"), address, ("  (not recorded; it bears its tags)", "dim"))
    for address in looked.kept:
        out.line(("  = keep   ", "cyan"), address)
    for line in _left_alone(looked.others):
        out.line(("  = leave  ", "cyan"), line)
    for reason in looked.unread:
        out.line(("  ? not read ", "cyan"), reason)


def show_vanished(run: Run, plan: Plan) -> None:
    """What somebody deleted and `up` is about to make anew, and how it can be brought back instead."""
    for step in plan.vanished:
        kind, _, name = step.address.partition("/")
        what = Resource.kinds[kind].holds
        told = f"{step.address} was deleted by somebody, and its {what} with it: `up` makes it anew without. "
        console.stderr().line(("  ! gone   ", "red"), (told + recovery(run, kind, name)).strip())


def show_lost(lost: Sequence[str]) -> None:
    """What goes with what is about to be deleted, besides the resources themselves."""
    for line in lost:
        console.stderr().line(("  ! lost   ", "red"), line)


def show_taken_down(name: str, done: TakenDown, as_json: bool) -> None:
    """What `down` did: what it saw gone, and what is still there."""
    if as_json:
        output.answer(
            {
                "environment": name,
                "deleted": sorted(done.deleted),
                "gone": sorted(done.gone),
                "kept": sorted(done.kept),
                "left": dict(done.others),
            }
        )
        return
    out = console.stdout()
    out.line(
        f"{name} is down: {len(done.deleted)} resources deleted." if done.deleted else f"{name}: nothing to take down."
    )
    if done.gone:
        out.line(f"Deleted by somebody else before: {', '.join(done.gone)}.")
    tables = [address for address in done.kept if address.startswith("table/")]
    if tables:
        more = f"`iotpipe down --env {name} --delete-data` deletes them too."
        out.line(f"Kept with their data: {', '.join(tables)}. {more}")
    if shared := [address for address in done.kept if address not in tables]:
        out.line(f"Left in place for the whole account: {', '.join(shared)}.")
    for line in _left_alone(done.others):
        out.line(f"Left alone: {line}.")


def _left_alone(others: Mapping[str, str]) -> list[str]:
    """One line for each reason why something is not deleted, with all that it is about."""
    by_reason: dict[str, list[str]] = {}
    for address, why in others.items():
        by_reason.setdefault(why, []).append(address)
    return [f"{', '.join(found)} (each {why})" for why, found in by_reason.items()]
