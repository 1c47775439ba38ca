"""A queue that delivers to the processor at least once: out of order, and some finished messages again."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.sqs.models import Message, sqs_backends

from iotpipe.handlers import processor
from tests.support.handlers_world import ENVIRONMENT, World, sqs_record
from tests.support.no_loss.invocations import Invocations

# Lambda's batches have up to 10 messages, or more if the batching window is set.
_BATCH, _LARGE_BATCH, _LARGE = 10, 40, 0.1
_FINISHED_AGAIN = 2  # finished messages that a batch has at most
_REMEMBERED = 1000  # finished messages that may come again

Record = dict[str, Any]


class Queue:
    """Takes the messages out of moto's queue and never drops one into the dead-letter queue."""

    def __init__(self, world: World, invocations: Invocations, dice: random.Random) -> None:
        self._world, self._invocations, self._dice = world, invocations, dice
        self._waiting: list[Record] = []
        self._finished: list[Record] = []
        self.messages = self.delivered_again = 0
        self.handed_back: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._waiting)

    def collect(self) -> None:
        """Take over what ingestion has sent. ReceiveMessage of moto takes longer than everything else in a run."""
        name = self._world.queue.rpartition("/")[2]
        queue = sqs_backends[DEFAULT_ACCOUNT_ID][ENVIRONMENT["AWS_DEFAULT_REGION"]].queues[name]
        received, queue._messages = queue._messages, []
        self._waiting += map(_record, received)
        self.messages += len(received)

    def deliver(self) -> None:
        """Invoke the processor with a batch; what it hands back is delivered again."""
        most = _LARGE_BATCH if self._dice.random() < _LARGE else _BATCH
        batch = [self._take() for _ in range(min(len(self._waiting), self._dice.randint(1, most)))]
        again = self._dice.sample(self._finished, min(len(self._finished), self._dice.randrange(_FINISHED_AGAIN + 1)))
        records = batch + again
        self._dice.shuffle(records)
        answer = self._invocations.invoke(processor.lambda_handler, {"Records": records})
        failed = handed_back([record["messageId"] for record in records], answer)
        self.delivered_again += len(again)
        self.handed_back["by the processor" if answer else "by a dying worker"] += len(failed)
        self._waiting += [record for record in batch if record["messageId"] in failed]
        self._finished += [record for record in batch if record["messageId"] not in failed]
        del self._finished[:-_REMEMBERED]

    def _take(self) -> Record:
        """Remove one of the waiting messages, by chance."""
        index = self._dice.randrange(len(self._waiting))
        self._waiting[index], self._waiting[-1] = self._waiting[-1], self._waiting[index]
        return self._waiting.pop()


def _record(message: Message) -> Record:
    return sqs_record(
        {
            "MessageId": message.id,
            "ReceiptHandle": message.id,
            "Body": message.body,
            "MD5OfBody": message.body_md5,
            "MessageAttributes": message.message_attributes,
        }
    )


def handed_back(delivered: list[str], answer: dict[str, Any] | None) -> set[str]:
    """Return the ids that Lambda returns to the queue: all if the function failed, or named an id it did not get.

    An answer without `batchItemFailures` is a success of the whole batch.
    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    """
    if answer is None:
        return set(delivered)
    named = {one.get("itemIdentifier") for one in answer.get("batchItemFailures") or []}
    return named if named <= set(delivered) else set(delivered)
