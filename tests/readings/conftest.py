"""A pipeline per test: the handlers' world on moto, its API on loopback, and a command's run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import boto3
import pytest
from moto import mock_aws

from iotpipe.handlers import clock as handlers_clock
from iotpipe.handlers import parameters, settings, telemetry
from iotpipe.provision.run import Run
from iotpipe.readings.api_client import Api
from iotpipe.readings.deployment import Deployment
from tests.support.handlers_world import ENVIRONMENT, NAME, Clock, World
from tests.support.local_gateway import REGION, Gateway, listening, run_in


@cache
def _client(service: str) -> Any:
    return boto3.client(service, region_name=REGION)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Clock:
    standing = Clock()
    for name in ("now", "elapsed", "sleep", "jitter"):
        monkeypatch.setattr(handlers_clock, name, getattr(standing, name))
    return standing


@pytest.fixture
def world(now: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(parameters, "_cache", {})
    monkeypatch.setattr(settings, "_parsed", {})
    # The handlers' log would come in between what the command prints: here it shares their process.
    monkeypatch.setattr(telemetry.Line, "write", lambda line: None)
    with mock_aws():
        yield World(_client, now, monkeypatch.setenv)


@pytest.fixture
def gateway(world: World) -> Iterator[Gateway]:
    with listening(Gateway(world)) as listens:
        yield listens


@pytest.fixture
def run(world: World, now: Clock) -> Run:
    return run_in(world, now)


@pytest.fixture
def place(gateway: Gateway) -> Deployment:
    queue, dead, key = f"iot-ingestion-queue-{NAME}", f"iot-dlq-{NAME}", ENVIRONMENT["API_KEY_PARAM"]
    return Deployment(gateway.url, queue, dead, key)


@pytest.fixture
def api(gateway: Gateway, run: Run) -> Api:
    return Api(gateway.url, run.aws.session, REGION, run.pause, chance=lambda: 0.5)


@pytest.fixture
def make_api(gateway: Gateway, run: Run) -> Callable[..., Api]:
    def make(**changes: Any) -> Api:
        given = {"endpoint": gateway.url, "session": run.aws.session, "region": REGION, "pause": run.pause}
        return Api(**{**given, **changes})

    return make
