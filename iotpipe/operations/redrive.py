"""Redrive dead letters to the queues that they came from, and purge the dead-letter queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from iotpipe.errors import ResourceError
from iotpipe.operations.queue_client import QueueClient
from iotpipe.operations.redrive_batches import Batches, Moved, report_progress
from iotpipe.provision.run import Event

_UNSUPPORTED = ("InvalidAction", "UnknownOperationException", "NotImplemented", "501")
_PURGING = ("PurgeQueueInProgress", "AWS.SimpleQueueService.PurgeQueueInProgress")
_ALREADY_RUNNING = "There is already a task running"
_NOT_A_DLQ = "Source queue must be configured as a Dead Letter Queue"
_IN_PROGRESS = ("RUNNING", "CANCELLING")
Message = Mapping[str, Any]


def redrive(dead: QueueClient, target: QueueClient, limit: int | None, devices: QueueClient | None = None) -> Moved:
    """Move dead letters to `target`, the processor's queue, or to `devices` if a device published them.

    All of them by SQS's message move task where there is one target, since it does not look at what it moves; else one
    batch at a time.
    """
    total = dead.count()
    for queue in filter(None, (target, devices)):
        queue.count()  # raises a clear error if the queue does not exist
    if limit is None and devices is None:
        try:
            return _by_move_task(dead, target, total)
        except ResourceError as error:
            if error.code not in _UNSUPPORTED:
                raise
    return Batches(dead, target, devices).move(limit, total if limit is None else min(limit, total))


def _by_move_task(dead: QueueClient, target: QueueClient, total: int) -> Moved:
    """Start a message move task, or follow the running one. SQS continues it in the background."""
    before = _move_tasks(dead)
    if not any(task["Status"] in _IN_PROGRESS for task in before):
        _start(dead, target)
    finished = [task["StartedTimestamp"] for task in before if task["Status"] not in _IN_PROGRESS]
    task = _wait_for_task(dead, finished, total)
    if task.get("Status") != "COMPLETED":
        why = task.get("FailureReason") or task.get("Status", "it does not list the move").lower()
        hint = (
            f"Run `iotpipe dlq redrive --env {dead.run.environment}` again: the other messages are still in {dead.name}"
        )
        raise ResourceError(f"SQS moved {_moved(task)} messages and then stopped: {why}", hint, address=dead.address)
    return Moved(_moved(task))


def _start(dead: QueueClient, target: QueueClient) -> None:
    """Start the move task, unless another client has started one since the tasks were listed."""
    try:
        # Without a destination, SQS cannot return messages that did not come from a queue.
        _call(dead, "move the messages of", "start_message_move_task", SourceArn=dead.arn, DestinationArn=target.arn)
    except ResourceError as error:
        if _ALREADY_RUNNING in error.message:
            return
        if _NOT_A_DLQ not in error.message:
            raise
        env = dead.run.environment
        hint = (
            f"Run `iotpipe up --env {env}`: it makes {dead.name} the dead-letter queue of {target.name} again. Or move "
            f"the messages without SQS's redrive: `iotpipe dlq redrive --env {env} --limit N`"
        )
        raise ResourceError(error.message, hint, address=error.address, code=error.code) from error


def _wait_for_task(dead: QueueClient, finished: Sequence[Any], total: int) -> Message:
    """Wait for the task whose start time is not in `finished`, and return it; empty if SQS does not list it."""
    deadline = dead.run.clock.now() + 60
    task: Message = {}
    while task.get("Status") in _IN_PROGRESS or (not task and dead.run.clock.now() < deadline):
        if task:
            dead.run.pause(1)
        new = (listed for listed in _move_tasks(dead) if listed["StartedTimestamp"] not in finished)
        task = next(new, task)
        report_progress(dead, _moved(task), task.get("ApproximateNumberOfMessagesToMove") or total)
        if not task:
            dead.run.pause(1)
    return task


def _moved(task: Message) -> int:
    return int(task.get("ApproximateNumberOfMessagesMoved") or 0)


def _move_tasks(dead: QueueClient) -> Sequence[Message]:
    """The queue's message move tasks, the latest first."""
    response = _call(dead, "read the moves of", "list_message_move_tasks", SourceArn=dead.arn, MaxResults=10)
    tasks: Sequence[Message] = response.get("Results") or []
    return tasks


def _call(dead: QueueClient, verb: str, operation: str, **parameters: Any) -> Any:
    sqs = dead.run.client("sqs")
    return dead.run.with_retries(verb, dead.address, lambda attempt: getattr(sqs, operation)(**parameters))


def purge(dead: QueueClient) -> None:
    """Delete all messages of the queue. SQS allows one purge per 60 s: a second purge waits."""
    began = dead.run.clock.now()
    while True:
        try:
            dead.call("purge", "purge_queue")
            return
        except ResourceError as error:
            left = 65 - (dead.run.clock.now() - began)
            if error.code not in _PURGING or left <= 0:
                raise
        for second in range(5):
            dead.run.tell(
                Event(dead.address, "waiting", f"SQS purges a queue only once every 60 s: {left - second:.0f} s left")
            )
            dead.run.pause(1)
