"""What others write against docs/openapi.yaml: its examples, as they are."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from local_machine import Machine

pytestmark = pytest.mark.slow

DESCRIPTION = Path(__file__).parents[2] / "docs" / "openapi.yaml"
needs_node = pytest.mark.skipif(
    shutil.which("node") is None, reason="the JavaScript example runs on Node.js, and there is no node on the PATH"
)


def example(language: str) -> str:
    samples = yaml.safe_load(DESCRIPTION.read_text())["paths"]["/ingest"]["post"]["x-codeSamples"]
    (source,) = (one["source"] for one in samples if one["lang"] == language)
    return str(source)


def run(command: list[str], machine: Machine, **changed: str) -> subprocess.CompletedProcess[str]:
    """Run an example with the variables that it takes; `changed` ones are other than those that work."""
    environment = machine.environment | {
        "API_ENDPOINT": f"{machine.record.endpoint}{machine.api}",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": machine.root.access_key,
        "AWS_SECRET_ACCESS_KEY": machine.root.secret_key,
    }
    return subprocess.run(command, env=environment | changed, capture_output=True, text=True, timeout=60, check=False)


def node(machine: Machine, **changed: str) -> list[str]:
    """Run the JavaScript example; what it says of its POST and of its GET."""
    done = run(["node", "--input-type=module", "--eval", example("JavaScript")], machine, **changed)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def raw_keys(machine: Machine, device: str) -> list[Decimal]:
    """The range keys of a device's rows in the raw table, with all the digits that DynamoDB has."""
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
    """A server that answers whatever it gets; its address, and the requests as they have come in."""
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
    """Also what the embedded AWS might forgive: order and encoding of the parameters, an encoded path, a token."""
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
        # Given apart, they are encoded and sorted by botocore.
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
