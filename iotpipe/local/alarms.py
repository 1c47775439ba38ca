"""Evaluates the alarms of the embedded CloudWatch.

ministack evaluates them only on PutMetricData, mixes the metrics of all queues and functions, and has no metric math.
"""

from __future__ import annotations

import ast
import operator
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from iotpipe.local.alarm_messages import notify
from iotpipe.local.metrics import MINUTE

_COMPARE: Mapping[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanThreshold": (operator.gt, "greater than the threshold"),
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to the threshold"),
    "LessThanThreshold": (operator.lt, "less than the threshold"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to the threshold"),
}
_CALCULATE: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def patch_ministack(on_change: Callable[[], None]) -> None:
    """Have ministack evaluate alarms and notify as CloudWatch does; calls `on_change` when an alarm changes state."""
    from ministack.services import cloudwatch

    def evaluate_alarm(alarm: dict[str, Any]) -> None:
        if _evaluate(alarm, time.time()):
            on_change()

    cloudwatch._evaluate_alarm = evaluate_alarm
    cloudwatch._dispatch_alarm_actions = notify


def evaluate_all(now: float, on_change: Callable[[], None]) -> None:
    """Evaluate every alarm with the data published up to `now` (epoch seconds)."""
    from ministack.core.responses import request_scope
    from ministack.services import cloudwatch

    for (account, region, _), alarm in list(cloudwatch._alarms.all_items()):
        with request_scope(account, region):
            if _evaluate(alarm, now):
                on_change()


def _evaluate(alarm: dict[str, Any], now: float) -> bool:
    """Evaluate an alarm; returns whether its state has changed."""
    from ministack.services import cloudwatch

    with suppress(_Unsupported):
        state, reason = _state_and_reason(alarm, now)
        before = alarm["StateValue"]
        if state != before:
            seconds = int(time.time())
            alarm |= {
                "StateValue": state,
                "StateReason": reason,
                "StateUpdatedTimestamp": seconds,
                "StateTransitionedTimestamp": seconds,
            }
            cloudwatch._record_history(alarm["AlarmName"], before, state, reason)
            notify(alarm, before, state, reason)
            cloudwatch._evaluate_parent_alarms(alarm)
            return True
    return False


class _Unsupported(Exception):
    """The alarm cannot be evaluated here and keeps its state."""


@dataclass(frozen=True)
class _Period:
    """One period of an alarm and its value; None without data."""

    start: float
    value: float | None


def _state_and_reason(alarm: Mapping[str, Any], now: float) -> tuple[str, str]:
    """Return the alarm's state, and the reason in CloudWatch's wording."""
    if alarm["ComparisonOperator"] not in _COMPARE:
        raise _Unsupported
    breaches, comparison = _COMPARE[alarm["ComparisonOperator"]]
    periods, threshold = _periods(alarm, now), float(alarm["Threshold"])
    known = [period for period in periods if period.value is not None]
    missing = len(periods) - len(known)
    treat_missing = alarm.get("TreatMissingData") or "missing"
    if not known and treat_missing == "ignore":
        raise _Unsupported
    if not known and treat_missing == "missing":
        return "INSUFFICIENT_DATA", f"Insufficient Data: {_counted(missing, 'datapoint')} were unknown."
    breaching = [period for period in known if period.value is not None and breaches(period.value, threshold)]
    number = len(breaching) + (missing if treat_missing == "breaching" else 0)
    in_alarm = number >= (alarm.get("DatapointsToAlarm") or len(periods))
    state = "ALARM" if in_alarm else "OK"
    if not known:
        treatment = "Breaching" if treat_missing == "breaching" else "NonBreaching"
        were = "datapoint was" if missing == 1 else "datapoints were"
        return state, (
            f"Threshold Crossed: no datapoints were received for {_counted(missing, 'period')} and {missing} missing "
            f"{were} treated as [{treatment}]."
        )
    named = breaching if in_alarm and breaching else known
    values = ", ".join(f"{each.value} ({datetime.fromtimestamp(each.start, UTC):%d/%m/%y %H:%M:%S})" for each in named)
    was = ("was" if len(named) == 1 else "were") + ("" if in_alarm else " not")
    return state, f"Threshold Crossed: {_counted(len(named), 'datapoint')} [{values}] {was} {comparison} ({threshold})."


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _periods(alarm: Mapping[str, Any], now: float) -> list[_Period]:
    """Return the last periods, newest first; the newest ends with the current, incomplete minute."""
    queries = alarm.get("Metrics") or []
    length = max([each["MetricStat"]["Period"] for each in queries if "MetricStat" in each], default=0)
    length = max(MINUTE, int(length or alarm.get("Period") or 0))
    end = now // MINUTE * MINUTE + MINUTE
    starts = [end - length * number for number in range(1, int(alarm.get("EvaluationPeriods") or 1) + 1)]
    return [_Period(start, _value(alarm, start, start + length)) for start in starts]


def _value(alarm: Mapping[str, Any], start: float, end: float) -> float | None:
    if not (queries := alarm.get("Metrics")):
        if not alarm.get("MetricName"):  # ministack adds the `Metrics` of a new alarm only after its first evaluation
            raise _Unsupported
        statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average"
        return _statistic(alarm, statistic, start, end)
    values: dict[str, float | None] = {}
    for query in queries:
        if stat := query.get("MetricStat"):
            values[query["Id"]] = _statistic(stat["Metric"], stat["Stat"], start, end)
    watched = next((query for query in queries if query.get("ReturnData", True)), queries[0])
    if "Expression" not in watched:
        return values[watched["Id"]]
    # An expression has no data if none of its metrics has any, even with FILL.
    if all(value is None for value in values.values()):
        return None
    return evaluate_expression(watched["Expression"], values)


def _statistic(metric: Mapping[str, Any], statistic: str, start: float, end: float) -> float | None:
    from ministack.services import cloudwatch

    dimensions = {each["Name"]: each["Value"] for each in metric.get("Dimensions") or []}
    key = (metric["Namespace"], metric["MetricName"], cloudwatch._dims_key(dimensions))
    points = [each for each in list(cloudwatch._metrics.get(key) or []) if start <= each["Timestamp"] < end]
    if not points:
        return None
    value = cloudwatch._stat_value(cloudwatch._calc_stats(points), statistic, points)
    return None if value is None else float(value)


def evaluate_expression(expression: str, values: Mapping[str, float | None]) -> float | None:
    """Return the value of a metric math expression; None for no data. `values` are the metrics' values by id.

    Supports numbers, ids, + - * / and FILL(id, number), which the pipeline's alarms need; raises _Unsupported for
    anything else.
    """
    try:
        return _evaluate_node(ast.parse(expression, mode="eval").body, values)
    except (SyntaxError, RecursionError) as error:
        raise _Unsupported from error
    except ZeroDivisionError:
        return None


def _evaluate_node(node: ast.expr, values: Mapping[str, float | None]) -> float | None:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name) if name in values:
            return values[name]
        case ast.Call(func=ast.Name(id="FILL"), args=[metric, filler]):
            value = _evaluate_node(metric, values)
            return _evaluate_node(filler, values) if value is None else value
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _CALCULATE:
            first, second = _evaluate_node(left, values), _evaluate_node(right, values)
            return None if first is None or second is None else _CALCULATE[type(op)](first, second)
    raise _Unsupported
