"""Publishes an alert if many records of a batch fail; then no worker publishes another during the cool-down."""

from __future__ import annotations

import json
import logging
import os
from collections import Counter

from botocore.exceptions import ClientError

from iotpipe.handlers import aws, clock, settings
from iotpipe.handlers.settings import Settings

logger = logging.getLogger(__name__)

# The row of the processed table with the time of the last alert. No device can have this id because of its space,
# and GET /query refuses it.
ROW = {"device_id": {"S": "iotpipe alerts"}, "event_date": {"S": "last"}}

# The last alert of each topic that this worker knows of, in epoch milliseconds. It saves reading the table, and keeps
# the worker's own cool-down while the table cannot be read.
_last: dict[str, int] = {}


def alert_if_needed(undone: dict[str, str], records: int, configured: Settings, budget: clock.Budget) -> None:
    """Publish an alert if more records failed than the threshold; `undone` has the reasons by message id.

    All workers together publish one alert per cool-down. Records that ran out of time do not count as failed. Never
    raises: an alert that cannot be sent must not return the stored records of the batch to the queue.
    """
    failed = {name: reason for name, reason in undone.items() if reason != clock.OUT_OF_TIME}
    if len(failed) <= configured.alert_threshold:
        return
    topic, now = os.environ["ALERT_TOPIC_ARN"], clock.now()
    cooldown_start = now - configured.alert_cooldown * 1000
    if _last.get(topic, cooldown_start) > cooldown_start:
        return
    if budget.remaining() <= 0:
        logger.error("no time left to publish an alert of %d failures", len(failed))
    elif _claim(topic, now, cooldown_start) and not _publish(topic, failed, records):
        _release(topic, now)


def _claim(topic: str, now: int, cooldown_start: int) -> bool:
    """Whether this worker sends the alert: the first one to write the row does.

    If the row cannot be written, every worker sends it: two alerts are better than none.
    """
    try:
        _write(now, "attribute_not_exists(alerted_at) OR alerted_at <= :time", cooldown_start)
    except aws.ERRORS as error:
        if aws.code(error) == "ConditionalCheckFailedException":
            _last[topic] = _recorded_alert(error, cooldown_start)
            return False
        logger.warning("cannot check whether another worker sent the alert: %s", aws.describe(error))
    _last[topic] = now
    return True


def _publish(topic: str, failed: dict[str, str], records: int) -> bool:
    subject, text = _subject(len(failed)), _text(failed, records)
    try:
        with aws.checked_response():
            answer = aws.client("sns").publish(TopicArn=topic, Subject=subject, Message=text)
        if not answer.get("MessageId"):
            raise aws.Unconfirmed("a response without the message's id")
    except aws.ERRORS as error:
        logger.error("cannot publish an alert of %d failures: %s", len(failed), aws.describe(error))
        return False
    return True


def _release(topic: str, now: int) -> None:
    """Let the next failing batch of any worker send the alert."""
    _last.pop(topic)
    try:
        _write(0, "alerted_at = :time", now)
    except aws.ERRORS as error:
        logger.warning("there will be no alert until the cool-down is over: %s", aws.describe(error))


def _write(alerted_at: int, condition: str, time: int) -> None:
    with aws.checked_response():
        aws.client("dynamodb").put_item(
            TableName=os.environ["PROCESSED_TABLE_NAME"],
            Item=ROW | {"alerted_at": {"N": str(alerted_at)}},
            ConditionExpression=condition,
            ExpressionAttributeValues={":time": {"N": str(time)}},
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )


def _recorded_alert(error: Exception, default: int) -> int:
    """Return the time of the last alert from the row, which is in the error of the failed condition."""
    item = error.response.get("Item", {}) if isinstance(error, ClientError) else {}
    text = str(item.get("alerted_at", {}).get("N", ""))
    return int(text) if text.isdecimal() else default


def _subject(failures: int) -> str:
    return f"iotpipe {settings.environment()}: {failures} messages not processed"[:100]


def _text(failed: dict[str, str], records: int) -> str:
    reasons = Counter(failed.values()).most_common(5)
    document = {
        "environment": settings.environment(),
        "records": records,
        "failed": len(failed),
        "reasons": [{"reason": reason[:300], "count": count} for reason, count in reasons],
        "message_ids": list(failed)[:10],
    }
    return json.dumps(document, indent=2)
