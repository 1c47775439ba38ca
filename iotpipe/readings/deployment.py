"""The parts of a deployed environment that test readings need: API, queues and API key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from iotpipe.errors import UsageError
from iotpipe.names import Names, recorded_suffix
from iotpipe.operations.outputs import nothing_recorded
from iotpipe.provision.ledger import Row
from iotpipe.provision.run import Run


@dataclass(frozen=True)
class Deployment:
    """The URL of an environment's API, and the names of its queues and its API key's parameter."""

    endpoint: str
    queue: str
    dead_letters: str
    key_parameter: str


def deployment(name: str, outputs: Mapping[str, str], recorded: Mapping[str, Row]) -> Deployment:
    """The deployment that the state file records. Raises UsageError if it is missing or incomplete."""
    if not recorded:
        raise nothing_recorded(name)
    names = Names(recorded_suffix(recorded.values()))
    needed = (f"queue/{names.reading_queue}", f"queue/{names.dead_letter_queue}", f"secret/{names.api_key}")
    if "ApiEndpoint" not in outputs or not all(each in recorded for each in needed):
        raise UsageError(f"{name} is only partly up", f"Run `iotpipe up --env {name}` first")
    return Deployment(outputs["ApiEndpoint"], names.reading_queue, names.dead_letter_queue, names.api_key)


def queue_url(run: Run, name: str) -> str:
    """The queue's URL, from AWS: it cannot be derived from the name. Raises ResourceError."""
    sqs = run.client("sqs")
    return run.with_retries("find", f"queue/{name}", lambda _: str(sqs.get_queue_url(QueueName=name)["QueueUrl"]))


def api_key(run: Run, parameter: str) -> str:
    """A currently valid key for the X-Api-Key header. It is a secret: do not print it. Raises ResourceError."""
    ssm = run.client("ssm")
    response = run.with_retries(
        "read", f"parameter{parameter}", lambda _: ssm.get_parameter(Name=parameter, WithDecryption=True)
    )
    text = str(response["Parameter"]["Value"])
    try:
        keys = json.loads(text) if text.lstrip().startswith("[") else [text]
    except ValueError:
        keys = [text]
    return next((key for key in keys if isinstance(key, str) and key), text)
