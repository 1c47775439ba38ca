"""Test the way of a device's message: publish one to the topic rule, and look for it in the log of ingestion.

A topic rule that cannot send to its queue says so nowhere that a user looks: the message is lost or fails silently.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable

from iotpipe.errors import ResourceError
from iotpipe.names import Names
from iotpipe.operations.logs import LogReader
from iotpipe.provision.run import Event, Run
from iotpipe.provision.steps import Step

_PATIENCE = 120
"""Seconds that the message and its log line may take: the function starts, and CloudWatch Logs is slow at first."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
_CLOCK_SKEW = 300_000
"""Milliseconds by which the clocks of this machine and of AWS may differ."""


def new_rule(steps: Iterable[Step]) -> bool:
    """Whether a topic rule was created by these steps."""
    return any(step.kind.kind == "topic-rule" and step.action == "create" for step in steps)


def test(run: Run, suffix: str) -> str:
    """Publish a message, and wait until ingestion logs it. Returns why it is not known to have arrived; empty if it is.

    Raises Interrupted.
    """
    names, mark = Names(suffix), uuid.uuid4().hex
    address = f"topic-rule/{names.device_rule}"
    began = run.clock.now()
    try:
        run.with_retries("publish to", address, lambda _: _publish(run, names, mark))
        reader = LogReader(run, "ingestion", names.log_group("ingestion"), int(began * 1000) - _CLOCK_SKEW, phrase=mark)
        run.tell(Event(address, "waiting", "waiting for a test message to arrive"))
        pause = _FIRST_PAUSE
        while run.clock.now() - began < _PATIENCE:
            if any(mark in (event.document() or {}).get("self_tests", ()) for event in reader.new()):
                return ""
            run.pause(pause)
            pause = min(_LONGEST_PAUSE, 2 * pause)
    except ResourceError as error:
        return f"it could not be tested: {error}"
    return f"a test message did not reach data-ingestion in {_PATIENCE} s"


def _publish(run: Run, names: Names, mark: str) -> None:
    topic = names.basic_ingest_topic(names.thing(""))
    run.client("iot-data").publish(topic=topic, qos=1, payload=json.dumps({"self_test": mark}).encode())
