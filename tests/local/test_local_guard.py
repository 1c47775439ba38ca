"""Who is let in to the embedded AWS, and who is not: one by one, over real connections."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from local_machine import Machine

from iotpipe.local.guard import Guard, Message, Receive, Scope, Send

pytestmark = pytest.mark.slow

JSON = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "DynamoDB_20120810.ListTables"}
BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept": "*/*",
    "Accept-Language": "en-GB,en;q=0.5",
    "Referer": "https://example.com/",
    "Sec-Fetch-Dest": "empty",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Site": "cross-site",
}


def asked(machine: Machine, key: Credentials | None = None, **headers: str) -> tuple[int, str]:
    """What ListTables answers."""
    return machine.signed("dynamodb", "POST", "/", b"{}", key, JSON | headers)


def test_whoever_has_the_root_key_is_let_in(running: Machine) -> None:
    assert asked(running) == (200, '{"TableNames": []}')
    identity = running.client("sts").get_caller_identity()
    assert (identity["Account"], identity["Arn"]) == ("000000000000", "arn:aws:iam::000000000000:root")


def test_it_listens_on_loopback_alone(running: Machine) -> None:
    outside = socket.socket()
    # A datagram socket finds this machine's outward address without sending anything.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            address = probe.getsockname()[0]
        except OSError:
            address = "127.0.0.2"
    with outside, pytest.raises(OSError):
        outside.connect((address, running.record.port))


def test_a_web_page_is_refused_even_with_a_good_signature(running: Machine) -> None:
    status, said = asked(running, **BROWSER, Origin="https://example.com")
    assert status == 403
    assert "web page" in said


@pytest.mark.parametrize("origin", ["null", "http://localhost:8000", "http://127.0.0.1", ""])
def test_every_origin_is_foreign(running: Machine, origin: str) -> None:
    assert asked(running, Origin=origin)[0] == 403


def test_a_preflight_request_gets_no_permission(running: Machine) -> None:
    asking = {"Origin": "https://example.com", "Access-Control-Request-Method": "POST"}
    assert running.send("OPTIONS", "/", BROWSER | asking)[0] == 403
    assert running.send("OPTIONS", "/_aws/execute-api/abc/local/ingest", BROWSER | asking)[0] == 403
    assert running.send("OPTIONS", "/")[0] == 403


@pytest.mark.parametrize(
    "host", ["evil.example.com", "127.0.0.1", "localhost.evil.com:{port}", "abc.execute-api.localhost:{port}", ""]
)
def test_a_foreign_host_is_refused_even_with_a_good_signature(running: Machine, host: str) -> None:
    status, said = asked(running, Host=host.format(port=running.record.port))
    assert status == 403
    assert "only known as" in said


def test_it_is_known_as_localhost_too(running: Machine) -> None:
    assert asked(running, Host=f"localhost:{running.record.port}")[0] == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/_ministack/health"),
        ("GET", "/_ministack/ready"),
        ("POST", "/_ministack/reset"),
        ("POST", "/_ministack/config"),
        ("GET", "/_ministack/lambda-code/data-ingestion-local"),
        ("GET", "/_ministack/lambda-layers/layer/1/content"),
        ("POST", "/_ministack/eks-auth/x"),
        ("GET", "/_localstack/health"),
        ("GET", "/_aws/sqs/messages"),
        ("GET", "/_aws/ses/messages"),
        ("GET", "/_aws/execute-api/"),
        ("POST", "/_aws/execute-api/abc"),
        ("GET", "/%5Fministack/health"),
        ("POST", "/_iotpipe/snapshot"),
    ],
)
def test_admin_paths_are_closed_also_for_root(running: Machine, method: str, path: str) -> None:
    assert running.send(method, path)[0] == 403
    assert running.signed("lambda", method, path)[0] == 403
    assert running.send(method, path, {"X-Iotpipe-Secret": "guessed"})[0] == 403


def test_the_launcher_gets_at_the_admin_paths_with_its_secret(running: Machine) -> None:
    secret = {"X-Iotpipe-Secret": running.record.secret}
    assert running.send("GET", "/_ministack/ready", secret)[0] == 200
    assert json.loads(running.send("POST", "/_iotpipe/state", secret)[1])["instance"] == running.record.instance
    assert running.send("GET", "/_ministack/ready", secret | {"Origin": "https://example.com"})[0] == 403


@pytest.mark.parametrize("key", ["test", "000000000000", "123456789012", "testing", "AKIAIOSFODNN7EXAMPLE"])
def test_well_known_keys_are_no_keys_here(running: Machine, key: str) -> None:
    assert asked(running, Credentials(key, "test"))[0] in (400, 403)
    with pytest.raises(ClientError) as refused:
        running.client("dynamodb", Credentials(key, "test")).list_tables()
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 403)


def test_the_right_key_with_a_wrong_secret_is_refused(running: Machine) -> None:
    forged = Credentials(running.root.access_key, "wrong")
    for service in ("dynamodb", "sqs", "lambda", "iam", "sts", "apigateway", "ssm", "logs", "cloudwatch", "sns", "s3"):
        call = {
            "dynamodb": "list_tables",
            "sqs": "list_queues",
            "lambda": "list_functions",
            "iam": "list_roles",
            "sts": "get_caller_identity",
            "apigateway": "get_rest_apis",
            "ssm": "describe_parameters",
            "logs": "describe_log_groups",
            "cloudwatch": "describe_alarms",
            "sns": "list_topics",
            "s3": "list_buckets",
        }[service]
        with pytest.raises(ClientError, match=r"(?i)signature"):
            getattr(running.client(service, forged), call)()


@pytest.mark.parametrize("path", ["/", "/2015-03-31/functions/", "/health", "/oauth2/authorize", "/bucket/key"])
def test_unsigned_requests_are_refused(running: Machine, path: str) -> None:
    assert running.send("GET", path, BROWSER)[0] == 403
    assert running.send("POST", path, BROWSER | {"Content-Type": "text/plain"}, b"{}")[0] == 403


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer abc",
        "AWS test:c2lnbmF0dXJl",
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/dynamodb/aws4_request",
        "AWS4-HMAC-SHA256 X=1, Credential={key}/20260101/us-east-1/dynamodb/aws4_request",
        "AWS4-ECDSA-P256-SHA256 Credential={key}/20260101/dynamodb/aws4_request",
        "AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/dynamodb/aws4_request",
    ],
)
def test_what_only_looks_signed_is_refused(running: Machine, authorization: str) -> None:
    header = {"Authorization": authorization.format(key=running.root.access_key)}
    assert running.send("POST", "/", JSON | header, b"{}")[0] in (400, 403)


@pytest.mark.parametrize(
    "query", ["X-Amz-Credential=test/1/us-east-1/s3/aws4_request", "AWSAccessKeyId=test&Signature=x"]
)
def test_keys_in_the_address_are_refused(running: Machine, query: str) -> None:
    assert running.send("GET", f"/?{query}")[0] == 403
    assert running.signed("s3", "GET", f"/?{query}")[0] == 403


def test_a_host_or_a_signature_that_is_there_twice_is_refused_whatever_ministack_would_take_of_them() -> None:
    async def never(*of: Any) -> Any:
        raise AssertionError("asked")

    guard = Guard(never, port=1, root="R", secret="s", ready=lambda: None, touched=lambda: None, admin=never)
    host = (b"host", b"127.0.0.1:1")
    signed = (b"authorization", b"AWS4-HMAC-SHA256 Credential=R/20260101/us-east-1/sqs/aws4_request, Signature=x")

    def refusal(*headers: tuple[bytes, bytes]) -> str:
        return guard.refusal({"type": "http", "path": "/", "query_string": b"", "headers": headers})

    assert refusal(host, signed) == ""
    assert "only known as" in refusal(host, host, signed)
    assert "Signature Version 4" in refusal(host, signed, signed)


def test_a_websocket_is_closed_before_anything_behind_the_guard_hears_of_it(running: Machine) -> None:
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    assert running.send("GET", "/_aws/execute-api/abc/local", upgrade | key)[0] == 403

    async def behind(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("let in")

    async def nobody(method: str, path: str) -> dict[str, Any]:
        return {}

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    sent: list[Message] = []
    guard = Guard(behind, port=1, root="R", secret="s", ready=lambda: None, touched=lambda: None, admin=nobody)
    scope = {"type": "websocket", "path": "/_aws/execute-api/abc/local", "headers": [(b"host", b"127.0.0.1:1")]}
    asyncio.run(guard(scope | {"query_string": b""}, receive, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_keys_that_it_made_itself_get_what_their_policies_allow(running: Machine) -> None:
    iam = running.client("iam")
    iam.create_user(UserName="reader")
    made = iam.create_access_key(UserName="reader")["AccessKey"]
    reader = running.client("dynamodb", Credentials(made["AccessKeyId"], made["SecretAccessKey"]))
    with pytest.raises(ClientError, match="not authorized"):
        reader.list_tables()
    allowed = {"Statement": [{"Effect": "Allow", "Action": "dynamodb:ListTables", "Resource": "*"}]}
    iam.put_user_policy(
        UserName="reader", PolicyName="list", PolicyDocument=json.dumps({"Version": "2012-10-17"} | allowed)
    )
    assert reader.list_tables()["TableNames"] == []


def test_nobody_else_on_the_machine_can_read_the_files(running: Machine) -> None:
    for path in (running.place.directory.parent, running.place.directory, *running.place.directory.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path
