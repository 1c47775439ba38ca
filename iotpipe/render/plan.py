"""Print a plan: each step, each changed property, and foreign additions."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from rich.text import Text

from iotpipe.provision.aws import Aws
from iotpipe.provision.plan import Plan
from iotpipe.provision.resource import Resource
from iotpipe.provision.run import Run
from iotpipe.provision.steps import Step, recovery
from iotpipe.render import console
from iotpipe.render.console import Out

_SIGNS = {
    "create": ("+", "green"),
    "update": ("~", "yellow"),
    "delete": ("-", "red"),
    "keep": ("=", "cyan"),
    "forget": ("·", "dim"),
}


def plan_data(name: str, aws: Aws, plan: Plan) -> dict[str, Any]:
    """The plan as data for JSON."""
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
                "taken_off": list(step.removed_by_update),
                "changes": [vars(change) for change in step.changes],
            }
            for step in plan.steps
        ],
        "later": [{"address": step.address, "refusal": step.refusal} for step in plan.later],
        "foreign": foreign_data(plan),
        "unread": list(plan.unread),
    }


def foreign_data(plan: Plan) -> list[dict[str, str]]:
    """Foreign additions as data for JSON."""
    return [
        {name: getattr(each, name) for name in ("address", "subject", "risk", "found", "instead")}
        for each in plan.foreign
    ]


def show_plan(name: str, aws: Aws, plan: Plan, verbose: bool, out: Out) -> None:
    """Print the plan as text: every pending step, and every property of an update.

    The ownership tags of adopted resources are left out unless `verbose`.
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
    note = step.note or ("missing: deleted outside iotpipe" if step.missing else "adopted" if step.adopted else "")
    return console.line((f"  {sign} {step.action:<6}  ", style), step.address, (f"  ({note})" if note else "", "dim"))


def _change_line(step: Step, change: Any) -> Text:
    drift = ("  drift: changed outside iotpipe", "magenta") if change.drift else ("", "")
    if step.action == "create":
        return console.line(("      ", ""), f"{change.property}: ", (_short(change.after), "green"))
    before, after = (_short(change.before), "red"), (_short(change.after), "green")
    return console.line("      ", f"{change.property}: ", before, " → ", after, drift)


def _show_later(out: Out, plan: Plan) -> None:
    """Print the resources that this run leaves alone because `--adopt` names others."""
    refused = [step.address for step in plan.later if step.refusal]
    pending = [step.address for step in plan.later if step.action != "none" and not step.refusal]
    for reason, left in (("not adopted yet", refused), ("to a later `iotpipe up`", pending)):
        if left:
            out.line(("  = leave   ", "cyan"), f"{len(left)} {reason}: {', '.join(left)}")


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 160 else f"{text[:157]}..."


_RISKS = {"opens": "bold red", "drains": "red", "stops": "red", "hides": "yellow", "alters": "cyan"}


def show_foreign(out: Out, plan: Plan) -> None:
    """Print foreign additions, the most severe first, and what could not be read."""
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


def show_vanished(run: Run, plan: Plan) -> None:
    """Print the resources deleted outside iotpipe that `up` will recreate empty, and how to restore them instead."""
    for step in plan.vanished:
        kind, _, name = step.address.partition("/")
        what = Resource.kinds[kind].holds
        state = "empty" if what == "data" else f"with a new {what}"
        told = f"{step.address} was deleted outside iotpipe together with its {what}: `up` recreates it {state}. "
        console.stderr().line(("  ! gone   ", "red"), (told + recovery(run, kind, name)).strip())
