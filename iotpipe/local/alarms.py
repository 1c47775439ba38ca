"""When the alarms of the embedded CloudWatch ring, and what they say.

ministack looks at them only when somebody calls PutMetricData, mixes the metrics of all queues and functions, and
knows no metric math.
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

from iotpipe.local.alarm_messages import tell
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


def ring_as_on_aws(changed: Callable[[], None]) -> None:
    """Evaluate and tell as CloudWatch does; `changed` is called whenever an alarm has changed its state."""
    from ministack.services import cloudwatch

    def evaluate_alarm(alarm: dict[str, Any]) -> None:
        if _evaluated(alarm, time.time()):
            changed()

    cloudwatch._evaluate_alarm = evaluate_alarm
    cloudwatch._dispatch_alarm_actions = tell


def look_at_all(now: float, changed: Callable[[], None]) -> None:
    """Evaluate every alarm with what was published up to this moment (s)."""
    from ministack.core.responses import request_scope
    from ministack.services import cloudwatch

    for (account, region, _), alarm in list(cloudwatch._alarms.all_items()):
        with request_scope(account, region):
            if _evaluated(alarm, now):
                changed()


def _evaluated(alarm: dict[str, Any], now: float) -> bool:
    """Whether its state is another one now."""
    from ministack.services import cloudwatch

    with suppress(_Unknown):
        state, reason = _judged(alarm, now)
        before = alarm["StateValue"]
        if state != before:
            moment = int(time.time())
            alarm |= {
                "StateValue": state,
                "StateReason": reason,
                "StateUpdatedTimestamp": moment,
                "StateTransitionedTimestamp": moment,
            }
            cloudwatch._record_history(alarm["AlarmName"], before, state, reason)
            tell(alarm, before, state, reason)
            cloudwatch._evaluate_parent_alarms(alarm)
            return True
    return False


class _Unknown(Exception):
    """What no answer is known to here: the alarm stays as it is."""


@dataclass(frozen=True)
class _Period:
    """What one period of an alarm has come to: nothing where there was no data."""

    start: float
    value: float | None


def _judged(alarm: Mapping[str, Any], now: float) -> tuple[str, str]:
    """The state, and the reason in CloudWatch's words."""
    if alarm["ComparisonOperator"] not in _COMPARE:
        raise _Unknown
    compare, words = _COMPARE[alarm["ComparisonOperator"]]
    periods, threshold = _periods(alarm, now), float(alarm["Threshold"])
    known = [each for each in periods if each.value is not None]
    missing = len(periods) - len(known)
    treated = alarm.get("TreatMissingData") or "missing"
    if not known and treated == "ignore":
        raise _Unknown
    if not known and treated == "missing":
        return "INSUFFICIENT_DATA", f"Insufficient Data: {_counted(missing, 'datapoint')} were unknown."
    breaching = [each for each in known if each.value is not None and compare(each.value, threshold)]
    number = len(breaching) + (missing if treated == "breaching" else 0)
    rings = number >= (alarm.get("DatapointsToAlarm") or len(periods))
    if not known:
        how = "Breaching" if treated == "breaching" else "NonBreaching"
        were = "datapoint was" if missing == 1 else "datapoints were"
        return "ALARM" if rings else "OK", (
            f"Threshold Crossed: no datapoints were received for {_counted(missing, 'period')} and {missing} missing "
            f"{were} treated as [{how}]."
        )
    named = breaching if rings and breaching else known
    values = ", ".join(f"{each.value} ({datetime.fromtimestamp(each.start, UTC):%d/%m/%y %H:%M:%S})" for each in named)
    was = ("was" if len(named) == 1 else "were") + ("" if rings else " not")
    said = f"Threshold Crossed: {_counted(len(named), 'datapoint')} [{values}] {was} {words} ({threshold})."
    return "ALARM" if rings else "OK", said


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _periods(alarm: Mapping[str, Any], now: float) -> list[_Period]:
    """The last periods, the newest first: that one ends with the minute which is not over yet."""
    queries = alarm.get("Metrics") or []
    length = max([each["MetricStat"]["Period"] for each in queries if "MetricStat" in each], default=0)
    length = max(MINUTE, int(length or alarm.get("Period") or 0))
    end = now // MINUTE * MINUTE + MINUTE
    starts = [end - length * number for number in range(1, int(alarm.get("EvaluationPeriods") or 1) + 1)]
    return [_Period(start, _value(alarm, start, start + length)) for start in starts]


def _value(alarm: Mapping[str, Any], start: float, end: float) -> float | None:
    if not (queries := alarm.get("Metrics")):
        if not alarm.get("MetricName"):  # one on several metrics, which are put to it only after this first look
            raise _Unknown
        statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average"
        return _statistic(alarm, statistic, start, end)
    values: dict[str, float | None] = {}
    for each in (query for query in queries if "MetricStat" in query):
        stat = each["MetricStat"]
        values[each["Id"]] = _statistic(stat["Metric"], stat["Stat"], start, end)
    watched = next((each for each in queries if each.get("ReturnData", True)), queries[0])
    if "Expression" not in watched:
        return values[watched["Id"]]
    # An expression has no data where none of its metrics has any, whatever it fills gaps with.
    if all(value is None for value in values.values()):
        return None
    return calculated(watched["Expression"], values)


def _statistic(metric: Mapping[str, Any], statistic: str, start: float, end: float) -> float | None:
    from ministack.services import cloudwatch

    dimensions = {each["Name"]: each["Value"] for each in metric.get("Dimensions") or []}
    key = (metric["Namespace"], metric["MetricName"], cloudwatch._dims_key(dimensions))
    points = [each for each in list(cloudwatch._metrics.get(key) or []) if start <= each["Timestamp"] < end]
    if not points:
        return None
    value = cloudwatch._stat_value(cloudwatch._calc_stats(points), statistic, points)
    return None if value is None else float(value)


def calculated(expression: str, values: Mapping[str, float | None]) -> float | None:
    """What metric math makes of the metrics' values by their ids; None for no data.

    Numbers, ids, + - * / and FILL(id, number): what the pipeline's alarms need. Raises _Unknown for anything else.
    """
    try:
        return _calculated(ast.parse(expression, mode="eval").body, values)
    except (SyntaxError, RecursionError) as error:
        raise _Unknown from error
    except ZeroDivisionError:
        return None


def _calculated(node: ast.expr, values: Mapping[str, float | None]) -> float | None:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name) if name in values:
            return values[name]
        case ast.Call(func=ast.Name(id="FILL"), args=[metric, filler]):
            found = _calculated(metric, values)
            return _calculated(filler, values) if found is None else found
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _CALCULATE:
            first, second = _calculated(left, values), _calculated(right, values)
            return None if first is None or second is None else _CALCULATE[type(op)](first, second)
    raise _Unknown
