"""Print the status of an environment: live resources are only counted, all others are listed."""

from __future__ import annotations

from collections import Counter
from typing import Any

from iotpipe.names import DEAD_LETTER_QUEUE
from iotpipe.observer.snapshot import Snapshot
from iotpipe.operations.health import Depth, Health
from iotpipe.provision.aws import Aws
from iotpipe.provision.plan import Plan
from iotpipe.provision.steps import Step
from iotpipe.render import console, output
from iotpipe.render.console import Out
from iotpipe.render.plan import foreign_data, show_foreign

_STATES = {
    "live": "green",
    "drifted": "magenta",
    "missing": "red",
    "changed": "yellow",
    "orphaned": "cyan",
    "forgotten": "dim",
}
_ALARMS = {"OK": "green", "ALARM": "bold red", "INSUFFICIENT_DATA": "yellow"}


def show_status(name: str, aws: Aws, plan: Plan, health: Health, snapshot: Snapshot | None, verbose: bool) -> None:
    """Print the status on stdout, with a snapshot as JSON; what could not be read also on stderr."""
    states = {step.address: _state(step) for step in plan.steps}
    if snapshot:
        output.answer(
            {"environment": name, "account": aws.account, "region": aws.region, "resources": states}
            | _data(health)
            | {"foreign": foreign_data(plan), "snapshot": snapshot.as_json()}
        )
    else:
        out = console.stdout()
        out.line((name, "bold"), f" in account {aws.account}, {aws.region}")
        _show_resources(out, name, states, verbose)
        show_foreign(out, plan)
        _show_queues(out, health)
        _show_mqtt(out, health)
        _show_alarms(out, health)
    for reason in health.unread:
        console.stderr().line(("not read", "red"), f": {reason}")


def _data(health: Health) -> dict[str, Any]:
    queues = {
        queue: {"visible": depth.visible, "in_flight": depth.in_flight, "oldest_seconds": depth.oldest}
        for queue, depth in health.queues.items()
    }
    alarms = {alarm: vars(each) for alarm, each in health.alarms.items()}
    mqtt = vars(health.mqtt) if health.mqtt else None
    return {
        "queues": queues,
        "mqtt": mqtt,
        "alarms": alarms,
        "unconfirmed": health.unconfirmed,
        "unread": health.unread,
    }


def _state(step: Step) -> str:
    if step.action == "create":
        return "missing"
    if step.action in ("delete", "keep"):
        return "orphaned"
    if step.action == "forget":
        return "forgotten"
    if step.drifted:
        return "drifted"
    return "changed" if step.action == "update" else "live"


def _line(out: Out, title: str, *parts: Any) -> None:
    out.line(f"  {title:<10} ", *parts)


def _show_resources(out: Out, name: str, states: dict[str, str], verbose: bool) -> None:
    counts = Counter(states.values())
    if not counts.keys() - {"missing"}:
        _line(out, "resources", ("none", "red"), f": {name} is not up. Run `iotpipe up --env {name}`")
        return
    _line(out, "resources", *_counted(counts, _STATES))
    for address, state in states.items():
        if verbose or state != "live":
            _line(out, "", (f"{state:<8}", _STATES[state]), f"  {address}")
    if counts.keys() - {"live"}:
        _line(out, "", (f"`iotpipe plan --env {name}` shows what differs", "dim"))


def _counted(counts: Counter[str], styles: dict[str, str]) -> list[Any]:
    """`3 OK, 1 ALARM`, coloured."""
    texts = [(f"{counts[word]} {word}", style) for word, style in styles.items() if counts[word]]
    return [part for text in texts for part in (", ", text)][1:]


def _show_queues(out: Out, health: Health) -> None:
    for number, (queue, depth) in enumerate(health.queues.items()):
        style = "red" if queue.startswith(DEAD_LETTER_QUEUE) and depth.visible + depth.in_flight else ""
        _line(out, "" if number else "queues", f"{queue}  ", (_depth(depth), style))


def _depth(depth: Depth) -> str:
    said = f"{depth.visible} waiting, {depth.in_flight} in flight"
    if not depth.visible + depth.in_flight:  # of an empty queue SQS publishes an age of 0
        return said
    if depth.oldest is None:
        return f"{said}, oldest unknown" if depth.visible else said
    return f"{said}, oldest {duration(depth.oldest)} old"


def duration(seconds: float) -> str:
    """`42 s`, `3 min 20 s`, `5 h 2 min`, `6 d 1 h`: the two largest units."""
    left = round(seconds)
    amounts = []
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        amounts.append((left // length, unit))
        left %= length
    first = next((index for index, (amount, _) in enumerate(amounts) if amount), len(amounts) - 1)
    return " ".join(f"{amount} {unit}" for amount, unit in amounts[first : first + 2] if amount) or "0 s"


def _show_mqtt(out: Out, health: Health) -> None:
    if not (mqtt := health.mqtt):
        return
    failures = [
        f"{number:,} {what}" for number, what in ((mqtt.not_queued, "not queued"), (mqtt.lost, "lost")) if number
    ]
    if mqtt.messages is None:
        said = "CloudWatch tells of no message in 15 minutes"
    else:
        said = ", ".join([f"{mqtt.messages:,} messages in 15 minutes", *failures])
    _line(out, "mqtt", f"{mqtt.rule}  ", (said, "red" if failures else ""))
    if mqtt.enrolled is not None:
        or_more = " or more" if mqtt.enrolled == mqtt.most else ""
        _line(out, "", f"devices enrolled: {mqtt.enrolled:,}{or_more}")


def _show_alarms(out: Out, health: Health) -> None:
    if health.alarms:
        _line(out, "alarms", *_counted(Counter(each.state for each in health.alarms.values()), _ALARMS))
    for name, alarm in health.alarms.items():
        if alarm.state == "ALARM":
            _line(out, "", (name, "bold red"), f"  since {alarm.since}: {alarm.reason}")
    for address in health.unconfirmed:
        _line(out, "alerts", (address, "yellow"), " receives no alerts until its owner confirms the e-mail from SNS")
