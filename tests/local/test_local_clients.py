"""Clients of docs/openapi.yaml: its examples, and a client that a tool generates from it."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
import yaml
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.support.local_machine import Machine, eventually

pytestmark = pytest.mark.embedded

DESCRIPTION = Path(__file__).parents[2] / "docs" / "openapi.yaml"
needs_node = pytest.mark.skipif(
    shutil.which("node") is None, reason="the JavaScript example runs on Node.js, and there is no node on the PATH"
)


def example(language: str) -> str:
    samples = yaml.safe_load(DESCRIPTION.read_text())["paths"]["/ingest"]["post"]["x-codeSamples"]
    (source,) = (one["source"] for one in samples if one["lang"] == language)
    return str(source)


def run(command: list[str], machine: Machine, **changed: str) -> subprocess.CompletedProcess[str]:
    """Run an example with working environment variables, except the `changed` ones."""
    environment = machine.environment | {
        "API_ENDPOINT": f"{machine.record.endpoint}{machine.api}",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": machine.root.access_key,
        "AWS_SECRET_ACCESS_KEY": machine.root.secret_key,
    }
    return subprocess.run(command, env=environment | changed, capture_output=True, text=True, timeout=60, check=False)


def node(machine: Machine, **changed: str) -> list[str]:
    """Run the JavaScript example; return its output for the POST and the GET."""
    done = run(["node", "--input-type=module", "--eval", example("JavaScript")], machine, **changed)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def raw_keys(machine: Machine, device: str) -> list[Decimal]:
    """Return the range keys of a device's raw rows, with all their digits."""
    rows = machine.client("dynamodb").query(
        TableName="raw-sensor-data-local",
        KeyConditionExpression="device_id = :device",
        ExpressionAttributeValues={":device": {"S": device}},
    )
    return [Decimal(row["timestamp"]["N"]) for row in rows["Items"]]


def test_the_python_example_sends_a_reading(up: Machine) -> None:
    before = len(raw_keys(up, "roof"))
    recent = example("Python").replace("2026-11-22T12:00:00Z", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
    done = run([sys.executable, "-c", recent], up)
    assert done.stdout.startswith("200 "), done.stderr
    assert len(raw_keys(up, "roof")) == before + 1


@needs_node
def test_the_javascript_example_sends_a_reading_and_gets_it_back(up: Machine) -> None:
    before = len(raw_keys(up, "roof"))
    sent, found = node(up)
    assert sent.startswith('200 {"message": "Data ingested successfully"')
    assert found.startswith('200 {"count": 1, "items": [{"device_id":"roof"') and '"temperature":21.5' in found
    assert len(raw_keys(up, "roof")) == before + 1


@needs_node
def test_the_javascript_example_signs_with_temporary_credentials(up: Machine) -> None:
    given = up.client("sts").get_session_token()["Credentials"]
    key = {"AWS_ACCESS_KEY_ID": given["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"]}
    assert [said[:4] for said in node(up, **key, AWS_SESSION_TOKEN=given["SessionToken"])] == ["200 ", "200 "]
    assert [said[:4] for said in node(up, **key)] == ["403 ", "403 "]


@needs_node
def test_the_javascript_example_shows_what_is_wrong_with_its_key(up: Machine) -> None:
    before = raw_keys(up, "roof")
    for said in node(up, AWS_SECRET_ACCESS_KEY="wrong"):
        assert said.startswith('403 {"message": "The request signature we calculated does not match')
    assert raw_keys(up, "roof") == before


@contextmanager
def recorder() -> Iterator[tuple[str, list[tuple[str, dict[str, str], bytes]]]]:
    """Run a server that accepts any request; yields its URL and the received requests."""
    requests = []

    class Recorder(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            requests.append((f"{self.command} {self.path}", {k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Recorder) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", requests
        finally:
            server.shutdown()
            thread.join()


@needs_node
@pytest.mark.parametrize(
    "query",
    [
        "a=1&a-b=2&a%20b=3&a=0",
        "to=2026-11-22T12:00:00%2B01:00&from=0",
        "none=&z='(!*)~-._&Z=%2F%23%26%3D",
        "device_id=%C3%A9%E2%82%AC%F0%9F%8C%A1",
        "",
    ],
)
def test_the_javascript_example_signs_as_botocore_does(query: str) -> None:
    """The parameters' order and encoding, an encoded path and a token, which the embedded AWS might not check."""
    program = example("JavaScript").replace("table=raw&device_id=roof&from=${timestamp}", query)
    key = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "token/+=")
    with recorder() as (address, requests):
        environment = {
            "PATH": os.environ["PATH"],
            "API_ENDPOINT": f"{address}/a%20stage",
            "AWS_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": key.access_key,
            "AWS_SECRET_ACCESS_KEY": key.secret_key,
            "AWS_SESSION_TOKEN": str(key.token),
        }
        subprocess.run(["node", "--input-type=module", "--eval", program], env=environment, timeout=60, check=True)
    assert [line.split("?")[0] for line, _, _ in requests] == ["POST /a%20stage/ingest", "GET /a%20stage/query"]
    for line, headers, body in requests:
        method, target = line.split()
        parts = urlsplit(f"{address}{target}")
        request = AWSRequest(method, f"{address}{parts.path}", data=body)
        # Passed separately, the parameters are encoded and sorted by botocore.
        request.params = parse_qsl(parts.query, keep_blank_values=True)
        signer = SigV4Auth(key, "execute-api", "eu-central-1")
        request.context["timestamp"] = headers["x-amz-date"]
        for name in ("content-type", "x-amz-date", "x-amz-security-token"):
            request.headers[name] = headers[name]
        canonical = signer.canonical_request(request)
        assert parts.query == canonical.split("\n")[2]
        signature = signer.signature(signer.string_to_sign(request, canonical), request)
        assert headers["authorization"].endswith(f"Signature={signature}")
    assert parse_qsl(parts.query, keep_blank_values=True) == sorted(parse_qsl(query, keep_blank_values=True))


class Signed(httpx.Auth):
    """Signs the requests of a generated client with Signature Version 4."""

    requires_request_body = True

    def __init__(self, key: Credentials) -> None:
        self._signer = SigV4Auth(key, "execute-api", "us-east-1")

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:
        signed = AWSRequest(request.method, str(request.url), data=request.content)
        self._signer.add_auth(signed)
        request.headers.update(dict(signed.headers))
        yield request


def keep_digits(response: httpx.Response) -> None:
    """Parse numbers with all digits, as the description tells clients to."""
    response.json = partial(response.json, parse_float=Decimal)  # type: ignore[method-assign]  # of this one response


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """Generate a client from the description, without warnings, and return its modules."""
    directory = tmp_path_factory.mktemp("generated")
    settings = directory / "settings.yaml"
    settings.write_text("post_hooks: []\n")  # otherwise it runs formatters
    command = ["-m", "openapi_python_client", "generate", "--path", str(DESCRIPTION), "--config", str(settings)]
    target = directory / "iotpipe_client"
    command += ["--meta", "none", "--output-path", str(target), "--fail-on-warning"]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(directory))
        names = ("api.default.ingest", "api.default.query", "models", "client")
        yield SimpleNamespace(
            **{name.split(".")[-1]: importlib.import_module(f"iotpipe_client.{name}") for name in names}
        )


def client(generated: SimpleNamespace, machine: Machine, key: Credentials | None = None, **more: Any) -> Any:
    """Return a generated client of the machine's API; signs with the root key unless another is given."""
    return generated.client.Client(
        f"{machine.record.endpoint}{machine.api}", httpx_args={"auth": Signed(key or machine.root), **more}
    )


def metrics(generated: SimpleNamespace, **values: Any) -> Any:
    return generated.models.Metrics.from_dict(values)


def test_a_generated_client_gets_back_what_it_has_sent(up: Machine, generated: SimpleNamespace) -> None:
    """Two readings of one millisecond, in pages of one, have all digits of their keys in the tables."""
    models, now = generated.models, datetime.now(UTC).replace(microsecond=250_000)
    sent = [
        models.Reading("generated", metrics(generated, temperature=celsius, label="Dächle"), timestamp=now)
        for celsius in (20.5, 30)
    ]
    with client(generated, up, event_hooks={"response": [keep_digits]}) as api:
        taken = generated.ingest.sync(client=api, body=models.Batch(sent))
        assert isinstance(taken, models.BatchIngested) and (taken.accepted, taken.duplicates) == (2, 0)
        ask = partial(generated.query.sync, client=api, device_id=["generated"], from_=now, to=now)
        processed = eventually(lambda: rows if len(rows := ask().items) == 2 else None)
        first = ask(table=models.QueryTable.RAW, limit=1)
        second = ask(table=models.QueryTable.RAW, limit=1, next_token=first.next_token)
    assert all(isinstance(row, models.ProcessedRow) for row in processed)
    assert sorted((row.temperature, row.sensor_data["label"]) for row in processed) == [
        (Decimal("20.5"), "Dächle"),
        (30, "Dächle"),
    ]
    raw = [*first.items, *second.items]
    assert all(isinstance(row, models.RawRow) for row in raw)
    assert [row.timestamp for row in raw] == raw_keys(up, "generated")
    assert [row.timestamp for row in raw] == sorted(exact_key(row) for row in processed)


def exact_key(row: Any) -> Decimal:
    """Compute a reading's raw key from its processed row, as the description says."""
    return Decimal(f"{row.timestamp}.{row.event_date.split('#')[1]}")


def test_a_generated_client_as_it_is_loses_digits_of_raw_timestamps_alone(
    up: Machine, generated: SimpleNamespace
) -> None:
    """The reason for the description's advice; the reading's processed row has all digits as text."""
    models, now = generated.models, int(datetime.now(UTC).timestamp() * 1000)
    reading = models.TimedReading("rounded", metrics(generated, temperature=1), timestamp=now)
    with client(generated, up) as api:
        assert isinstance(generated.ingest.sync(client=api, body=reading), models.Ingested)
        ask = partial(generated.query.sync, client=api, device_id=["rounded"])
        (processed,) = eventually(lambda: ask().items)
        (raw,) = ask(table=models.QueryTable.RAW).items
    (stored,) = raw_keys(up, "rounded")
    assert isinstance(raw.timestamp, float) and Decimal(raw.timestamp) != stored
    assert raw.timestamp == float(stored)
    assert (processed.timestamp, exact_key(processed)) == (now, stored)


def test_a_generated_client_is_told_what_is_wrong_with_one_reading(up: Machine, generated: SimpleNamespace) -> None:
    models = generated.models
    good = models.Reading("half", metrics(generated, temperature=1))
    body = [good, models.Reading("no such device", metrics(generated))]
    with client(generated, up) as api:
        refused = generated.ingest.sync(client=api, body=body)
        assert isinstance(refused, models.Refusal)
        assert [(one.index, one.field) for one in refused.error.details] == [(1, "device_id")]
        assert raw_keys(up, "half") == []
        answer = generated.ingest.sync_detailed(client=api, body=body, partial=models.IngestPartial.TRUE)
    assert answer.status_code == 207 and isinstance(answer.parsed, models.PartlyIngested)
    accepted, rejected = answer.parsed.results
    assert (accepted.status, accepted.device_id, accepted.problems) == ("accepted", "half", [])
    assert (rejected.status, [one.field for one in rejected.problems]) == ("rejected", ["device_id"])
    assert [int(key) for key in raw_keys(up, "half")] == [accepted.timestamp]


def test_a_generated_client_with_a_wrong_key_is_told_so(up: Machine, generated: SimpleNamespace) -> None:
    with client(generated, up, Credentials(up.root.access_key, "wrong")) as api:
        answer = generated.query.sync_detailed(client=api, device_id="generated")
    assert answer.status_code == 403
    assert answer.parsed.message.startswith("The request signature we calculated does not match")


def test_a_generated_client_needs_a_time_of_what_is_processed_at_once(generated: SimpleNamespace) -> None:
    with pytest.raises(TypeError, match="timestamp"):
        generated.models.TimedReading("device", metrics(generated))


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("Refusal", {}),
        ("BatchFailed", {"accepted": 0, "duplicates": 0, "failed": 1, "results": []}),
        ("PartlyFailed", {"accepted": 0, "duplicates": 0, "failed": 1, "rejected": 1, "results": []}),
    ],
)
def test_a_generated_client_tells_apart_what_is_not_stored(
    generated: SimpleNamespace, kind: str, more: dict[str, Any]
) -> None:
    body = {"error": {"code": "unavailable", "request_id": "r", "details": []}, **more}
    transport = httpx.MockTransport(lambda _: httpx.Response(503, json=body))
    api = generated.client.Client("http://nowhere", httpx_args={"transport": transport})
    with api:
        parsed = generated.ingest.sync(client=api, body=[])
    assert type(parsed).__name__ == kind
    assert parsed.to_dict() == body
