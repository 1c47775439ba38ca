"""X-Ray: what the daemon receives, and that the handlers work without one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
WORKER = "tests.support.traced_worker"
WENT_WELL = "[200, [], 200, 400, 503]"


def work(tmp_path: Path, **environment: str) -> str:
    """Run the worker as Lambda would and return its stderr. Warnings are errors, except the SDK's unclosed socket."""
    result = tmp_path / "statuses"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS", "_X_"))}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::ResourceWarning", "-m", WORKER, str(result)],
        cwd=ROOT,
        env=kept | {"LAMBDA_TASK_ROOT": "/var/task"} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert result.read_text() == WENT_WELL
    return done.stderr


@pytest.fixture
def daemon() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        listening.bind(("127.0.0.1", 0))
        listening.setblocking(False)
        yield listening


def received(daemon: socket.socket) -> list[dict[str, Any]]:
    documents = []
    while True:
        try:
            header, _, document = daemon.recv(1 << 16).decode().partition("\n")
        except BlockingIOError:
            return documents
        assert json.loads(header) == {"format": "json", "version": 1}
        documents.append(json.loads(document))


def calls_of(invocation: dict[str, Any], documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return an invocation's AWS calls, each of which is in a document of its own."""
    return [one for one in documents if one.get("parent_id") == invocation["id"]]


@pytest.mark.matrix
def test_a_daemon_receives_every_invocation_with_its_calls_and_annotations(
    tmp_path: Path, daemon: socket.socket
) -> None:
    host, port = daemon.getsockname()
    assert work(tmp_path, AWS_XRAY_DAEMON_ADDRESS=f"{host}:{port}", _X_AMZN_TRACE_ID=TRACE) == ""
    documents = received(daemon)
    ours = [one for one in documents if one["name"] in ("ingestion", "processor", "query")]
    assert [one["name"] for one in ours] == ["ingestion", "processor", "query", "query", "query"]
    for one in ours:
        assert one["trace_id"] == "1-5759e988-bd862e3fe1be46a994272793"
        assert one["parent_id"] == "53995c3f42cd8ad8"
        assert one["annotations"]["environment"] == "test"
    ingestion, processor, query, refused, unavailable = (one["annotations"] for one in ours)
    assert (ingestion["route"], ingestion["status"], ingestion["accepted"]) == ("/ingest", 200, 2)
    assert (processor["route"], processor["processed"], processor["failed"]) == ("queue", 2, 0)
    assert (query["route"], query["status"]) == ("/query", 200)
    assert (refused["status"], refused["rejected"]) == (400, 1)
    assert unavailable["status"] == 503
    assert [[kind for kind in ("error", "fault") if one.get(kind)] for one in ours] == [
        [],
        [],
        [],
        ["error"],
        ["fault"],
    ]
    made = {one["id"]: [call["aws"]["operation"] for call in calls_of(one, documents)] for one in ours}
    assert list(made.values()) == [
        ["GetParameter", "BatchWriteItem", "SendMessageBatch"],
        ["BatchWriteItem"],
        ["Query"],
        [],
        ["Query"],
    ]


@pytest.mark.matrix
def test_an_invocation_that_is_not_sampled_sends_nothing(tmp_path: Path, daemon: socket.socket) -> None:
    host, port = daemon.getsockname()
    unsampled = TRACE.replace("Sampled=1", "Sampled=0")
    work(tmp_path, AWS_XRAY_DAEMON_ADDRESS=f"{host}:{port}", _X_AMZN_TRACE_ID=unsampled)
    assert received(daemon) == []


@pytest.mark.matrix
@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"_X_AMZN_TRACE_ID": TRACE},
        {"_X_AMZN_TRACE_ID": "nonsense"},
        {"_X_AMZN_TRACE_ID": TRACE, "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:9"},
        {"_X_AMZN_TRACE_ID": TRACE, "AWS_XRAY_SDK_ENABLED": "false"},
    ],
    ids=["no trace", "no daemon", "no sense", "nobody there", "switched off"],
)
def test_without_a_daemon_or_a_trace_the_work_is_done_in_silence(tmp_path: Path, environment: dict[str, str]) -> None:
    assert work(tmp_path, **environment) == ""


@pytest.mark.matrix
def test_a_daemon_s_address_that_cannot_be_read_stops_nothing(tmp_path: Path) -> None:
    assert "tracing is disabled" in work(tmp_path, AWS_XRAY_DAEMON_ADDRESS="nowhere")


@pytest.mark.matrix
def test_without_the_sdk_the_work_is_done_untraced(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "aws_xray_sdk.py").write_text("raise ImportError('not in this layer')")
    assert "tracing is disabled" in work(tmp_path, PYTHONPATH=str(hidden), _X_AMZN_TRACE_ID=TRACE)
