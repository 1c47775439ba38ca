"""A world per test: new tables and queues, a worker with empty caches, a simulated clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import boto3
import pytest
from moto import mock_aws

from iotpipe.handlers import alerts, aws, clock, parameters, settings
from tests.support.handlers_world import ENVIRONMENT, Calls, Clock, World, refuse_repeated_keys, watch


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return a function that starts a new worker, with empty caches."""

    def begin() -> None:
        monkeypatch.setattr(parameters, "_cache", {})
        monkeypatch.setattr(settings, "_parsed", {})
        monkeypatch.setattr(alerts, "_last", {})

    begin()
    return begin


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Clock:
    standing = Clock()
    for name in ("now", "elapsed", "sleep", "jitter"):
        monkeypatch.setattr(clock, name, getattr(standing, name))
    return standing


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_ENDPOINT_URL", "LAMBDA_TASK_ROOT"):
        monkeypatch.delenv(name, raising=False)


@cache
def _client(service: str) -> Any:
    return boto3.client(service, region_name=ENVIRONMENT["AWS_DEFAULT_REGION"])


@pytest.fixture
def world(
    environment: None, worker: Callable[[], None], now: Clock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    events = aws.client("dynamodb").meta.events
    events.register("before-call.dynamodb.BatchWriteItem", refuse_repeated_keys)
    with mock_aws():
        yield World(_client, now, monkeypatch.setenv)
    events.unregister("before-call.dynamodb.BatchWriteItem", refuse_repeated_keys)


@pytest.fixture
def calls(world: World) -> Iterator[Calls]:
    """Return the record of all AWS calls that the handlers make in this test."""
    recorded = Calls()
    end = watch(recorded)
    yield recorded
    end()
