"""The alert that many failures in one batch raise: one message to the topic, then silence for all workers a while."""

from __future__ import annotations

import json
import logging
import os
from collections import Counter

from botocore.exceptions import ClientError

from iotpipe.handlers import aws, clock, settings
from iotpipe.handlers.settings import Settings

logger = logging.getLogger(__name__)

# The row of the processed table that has the time of the last alert. No device can have this name, for the space in
# it, and GET /query refuses it.
ROW = {"device_id": {"S": "iotpipe alerts"}, "event_date": {"S": "last"}}

# When each topic last had an alert as far as this worker knows, in epoch milliseconds: it need not ask the table
# again, and while it cannot, it keeps at least its own peace.
_last: dict[str, int] = {}


def consider(undone: dict[str, str], records: int, configured: Settings, budget: clock.Budget) -> None:
    """Publish if more records of a batch failed than the threshold allows; `undone` is reasons by message id.

    One alert per cool-down, whichever worker sends it. What only ran out of time has not failed. Never raises: an
    alert that cannot be sent must not send the stored half of a batch back.
    """
    failed = {name: reason for name, reason in undone.items() if reason != clock.OUT_OF_TIME}
    if len(failed) <= configured.alert_threshold:
        return
    topic, now = os.environ["ALERT_TOPIC_ARN"], clock.now()
    silent_since = now - configured.alert_cooldown * 1000
    if _last.get(topic, silent_since) > silent_since:
        return
    if budget.left() <= 0:
        logger.error("no time left to publish an alert of %d failures", len(failed))
    elif _claim(topic, now, silent_since) and not _publish(topic, failed, records):
        _release(topic, now)


def _claim(topic: str, now: int, silent_since: int) -> bool:
    """Whether it is this worker that sends the alert: the one whose write comes first.

    Where nobody can tell, it does: two alerts are better than none.
    """
    try:
        _write(now, "attribute_not_exists(alerted_at) OR alerted_at <= :time", silent_since)
    except aws.FAILED as error:
        if aws.code(error) == "ConditionalCheckFailedException":
            _last[topic] = _told(error, silent_since)
            return False
        logger.warning("cannot see whether there was an alert: %s", aws.describe(error))
    _last[topic] = now
    return True


def _publish(topic: str, failed: dict[str, str], records: int) -> bool:
    subject, text = _subject(len(failed)), _text(failed, records)
    try:
        with aws.answering():
            answer = aws.client("sns").publish(TopicArn=topic, Subject=subject, Message=text)
        if not answer.get("MessageId"):
            raise aws.Unconfirmed("an answer without the message's id")
    except aws.FAILED as error:
        logger.error("cannot publish an alert of %d failures: %s", len(failed), aws.describe(error))
        return False
    return True


def _release(topic: str, now: int) -> None:
    """Leave the alert to the next batch that fails, of whatever worker."""
    _last.pop(topic)
    try:
        _write(0, "alerted_at = :time", now)
    except aws.FAILED as error:
        logger.warning("there will be no alert until the cool-down is over: %s", aws.describe(error))


def _write(alerted_at: int, condition: str, time: int) -> None:
    with aws.answering():
        aws.client("dynamodb").put_item(
            TableName=os.environ["PROCESSED_TABLE_NAME"],
            Item=ROW | {"alerted_at": {"N": str(alerted_at)}},
            ConditionExpression=condition,
            ExpressionAttributeValues={":time": {"N": str(time)}},
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )


def _told(error: Exception, otherwise: int) -> int:
    """When there was an alert, as the row says that has refused the claim."""
    item = error.response.get("Item", {}) if isinstance(error, ClientError) else {}
    text = str(item.get("alerted_at", {}).get("N", ""))
    return int(text) if text.isdecimal() else otherwise


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
