"""The alert that many failures in one batch raise: one message to the topic, then silence for a while."""

from __future__ import annotations

import json
import logging
import os
from collections import Counter

from iotpipe.handlers import aws, clock, settings
from iotpipe.handlers.settings import Settings

logger = logging.getLogger(__name__)
_last: dict[str, int] = {}


def consider(failed: dict[str, str], records: int, configured: Settings) -> None:
    """Publish if more records failed than the threshold allows; `failed` is reasons by message id.

    Never raises: an alert that cannot be sent must not send a good batch back.
    """
    topic, now = os.environ["ALERT_TOPIC_ARN"], clock.now()
    if len(failed) <= configured.alert_threshold:
        return
    if topic in _last and now - _last[topic] < configured.alert_cooldown * 1000:
        return
    try:
        aws.client("sns").publish(
            TopicArn=topic, Subject=_subject(len(failed)), Message=_text(failed, records)
        )
    except aws.FAILED as error:
        logger.error("cannot publish the alert: %s", error)
        return
    _last[topic] = now


def _subject(failures: int) -> str:
    return f"iotpipe {settings.environment()}: {failures} messages not processed"[:100]


def _text(failed: dict[str, str], records: int) -> str:
    reasons = Counter(failed.values()).most_common(5)
    return json.dumps(
        {
            "environment": settings.environment(),
            "records": records,
            "failed": len(failed),
            "reasons": [{"reason": reason[:300], "count": count} for reason, count in reasons],
            "message_ids": list(failed)[:10],
        },
        indent=2,
    )
