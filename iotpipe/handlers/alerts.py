"""The alert that many failures in one batch raise: one message to the topic, then silence for a while."""

from __future__ import annotations

import json
import logging
import os
from collections import Counter

from iotpipe.handlers import aws, clock, settings
from iotpipe.handlers.settings import Settings

logger = logging.getLogger(__name__)

# When each topic last had an alert from this worker, in epoch milliseconds.
_last: dict[str, int] = {}


def consider(undone: dict[str, str], records: int, configured: Settings, budget: clock.Budget) -> None:
    """Publish if more records of a batch failed than the threshold allows; `undone` is reasons by message id.

    What only ran out of time has not failed. Never raises: an alert that cannot be sent must not send the
    stored half of a batch back.
    """
    failed = {name: reason for name, reason in undone.items() if reason != clock.OUT_OF_TIME}
    if len(failed) <= configured.alert_threshold:
        return
    topic, now = os.environ["ALERT_TOPIC_ARN"], clock.now()
    if topic in _last and now - _last[topic] < configured.alert_cooldown * 1000:
        return
    if budget.left() <= 0:
        logger.error("no time left to publish an alert of %d failures", len(failed))
        return
    try:
        aws.client("sns").publish(TopicArn=topic, Subject=_subject(len(failed)), Message=_text(failed, records))
        _last[topic] = now
    except aws.FAILED as error:
        logger.error("cannot publish an alert of %d failures: %s", len(failed), aws.describe(error))


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
