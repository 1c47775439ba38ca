"""Tells devices over MQTT that readings were refused: which ones and why, without any value."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable
from typing import Any

from iotpipe.handlers import aws
from iotpipe.handlers.clock import Budget
from iotpipe.handlers.device_message import DeviceMessage
from iotpipe.handlers.refused_message import Refusal

logger = logging.getLogger(__name__)

# In one invocation; a device gets at most one. A device that is always wrong would double the bill of its messages.
_MAX_NOTICES = 10
_MAX_PROBLEMS = 20


def publish(refused: Iterable[tuple[DeviceMessage, Refusal]], budget: Budget) -> None:
    """Publish a notice to the device of each message.

    Never raises, and the first failure ends it: the readings are stored or dead letters by now, and only the queue
    waits. The dead letter has the same and more.
    """
    first: dict[str, tuple[DeviceMessage, Refusal]] = {}
    for message, refusal in refused:
        first.setdefault(message.thing, (message, refusal))
    for message, refusal in list(first.values())[:_MAX_NOTICES]:
        if budget.remaining() <= 0:
            return
        try:
            _publish(message, refusal)
        except aws.ERRORS as error:
            logger.warning("cannot tell devices what was refused: %s", aws.describe(error))
            return


def _publish(message: DeviceMessage, refusal: Refusal) -> None:
    topic = os.environ["DEVICE_ERRORS_TOPIC"].replace("{thing}", message.thing)
    payload = json.dumps(_notice(message, refusal)).encode()
    with aws.checked_response():
        aws.client("iot-data").publish(topic=topic, qos=1, payload=payload)


def _notice(message: DeviceMessage, refusal: Refusal) -> dict[str, Any]:
    members = ("index", "code", "field")
    problems = [{name: problem[name] for name in members if name in problem} for problem in refusal.problems]
    omitted = len(problems) + refusal.omitted - _MAX_PROBLEMS
    return {"trace": message.trace, "problems": problems[:_MAX_PROBLEMS]} | (
        {"omitted": omitted} if omitted > 0 else {}
    )
