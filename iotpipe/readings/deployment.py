"""What is to be proved of an environment that is up: its API, its queues, the key to get in."""

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
    """Where an environment's API is, and what its queues and its key's parameter are called."""

    endpoint: str
    queue: str
    dead_letters: str
    key_parameter: str


def deployment(name: str, outputs: Mapping[str, str], recorded: Mapping[str, Row]) -> Deployment:
    """The deployment that the state file records. Raises UsageError where there is none, or only part of one."""
    if not recorded:
        raise nothing_recorded(name)
    names = Names(recorded_suffix(recorded.values()))
    needed = (f"queue/{names.reading_queue}", f"queue/{names.dead_letter_queue}", f"secret/{names.api_key}")
    if "ApiEndpoint" not in outputs or not all(each in recorded for each in needed):
        raise UsageError(f"{name} is only partly up", f"Run `iotpipe up --env {name}` first")
    return Deployment(outputs["ApiEndpoint"], names.reading_queue, names.dead_letter_queue, names.api_key)


def queue_url(run: Run, name: str) -> str:
    """Where a queue is; asked for, since only AWS knows. Raises ResourceError."""
    sqs = run.client("sqs")
    return run.with_retries("find", f"queue/{name}", lambda _: str(sqs.get_queue_url(QueueName=name)["QueueUrl"]))


def api_key(run: Run, parameter: str) -> str:
    """A key that holds at present, for the header X-Api-Key and never to be shown. Raises ResourceError."""
    ssm = run.client("ssm")
    answer = run.with_retries(
        "read", f"parameter{parameter}", lambda _: ssm.get_parameter(Name=parameter, WithDecryption=True)
    )
    text = str(answer["Parameter"]["Value"])
    try:
        listed = json.loads(text) if text.lstrip().startswith("[") else [text]
    except ValueError:
        listed = [text]
    return next((key for key in listed if isinstance(key, str) and key), text)
