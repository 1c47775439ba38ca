"""Patches for ministack 1.5.33's gaps in topic rules: one function per gap, with its reason."""

from __future__ import annotations

from contextlib import suppress
from contextvars import ContextVar
from typing import Any

from iotpipe.local import metrics

_ACTION_TYPES = {"sqs": "SQS", "sns": "SNS", "lambda": "Lambda", "dynamoDBv2": "DynamoDBv2", "republish": "Republish"}
"""The dimension ActionType of CloudWatch, by the key of an action."""

_prefix: ContextVar[str] = ContextVar("prefix", default="")
"""Of the metrics of the action that runs."""


def close() -> None:
    """Apply every patch."""
    _act_with_the_rights_of_the_role()
    _count_matches()
    _count_actions()
    _count_missing_rules()


def _act_with_the_rights_of_the_role() -> None:
    """Have an SQS action fail unless its role exists, trusts AWS IoT and may send; ministack does not look at it."""
    from ministack.core.responses import request_scope
    from ministack.services import iot, sqs

    send = iot._dispatch_rule_sqs

    def dispatch(account: str, region: str, rule: str, action: dict[str, Any], event: Any) -> None:
        role, url = action.get("roleArn", ""), action.get("queueUrl", "")
        with request_scope(account, region), suppress(sqs._Err):  # ministack itself reports a missing queue
            queue = sqs._get_q(url)["attributes"]["QueueArn"]
            if not iot._provisioning_role_allows(role, [("sqs:SendMessage", queue)]):
                raise RuntimeError(
                    f"AWS IoT may not assume {role}, or it is not authorized to sqs:SendMessage on {queue}"
                )
        send(account, region, rule, action, event)

    iot._dispatch_rule_sqs = dispatch


def _count_matches() -> None:
    """Publish how many messages each rule gets; by Basic Ingest, too, of which AWS's documentation says nothing."""
    from ministack.core.responses import request_scope
    from ministack.services import iot

    run = iot._run_rule_actions

    async def counted(account: str, region: str, rule: dict[str, Any] | None, *rest: Any) -> None:
        if rule and not rule.get("ruleDisabled"):
            with request_scope(account, region):
                metrics.record("AWS/IoT", "TopicMatch", {"RuleName": rule["ruleName"]}, 1)
        await run(account, region, rule, *rest)

    iot._run_rule_actions = counted


def _count_actions() -> None:
    """Publish the metrics of rules that alarms watch: how many actions and error actions succeed and fail."""
    from ministack.core.responses import request_scope
    from ministack.services import iot

    run, run_error_action = iot._dispatch_rule_action, iot._dispatch_rule_error_action

    async def counted(account: str, region: str, rule: str, action: dict[str, Any], event: Any) -> None:
        outcome = "Failure"
        try:
            await run(account, region, rule, action, event)
            outcome = "Success"
        finally:
            dimensions = {"RuleName": rule, "ActionType": _ACTION_TYPES.get(next(iter(action)), "")}
            with request_scope(account, region):
                metrics.record("AWS/IoT", f"{_prefix.get()}{outcome}", dimensions, 1)

    async def error_action(*args: Any) -> None:
        before = _prefix.set("ErrorAction")
        try:
            await run_error_action(*args)
        finally:
            _prefix.reset(before)

    iot._dispatch_rule_action = counted
    iot._dispatch_rule_error_action = error_action


def _count_missing_rules() -> None:
    """Publish how many messages of Basic Ingest are lost because their rule does not exist."""
    from ministack.core.responses import request_scope
    from ministack.services import iot

    publish = iot.broker_publish

    async def broker_publish(account: str, region: str, topic: str, *rest: Any, **named: Any) -> None:
        await publish(account, region, topic, *rest, **named)
        if topic.startswith(iot._BASIC_INGEST_PREFIX):
            rule = topic.split("/")[2]
            if iot._topic_rules.get_scoped(account, region, rule) is None:
                with request_scope(account, region):
                    metrics.record("AWS/IoT", "RuleNotFound", {"RuleName": rule}, 1)

    iot.broker_publish = broker_publish
