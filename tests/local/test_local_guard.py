"""Which requests the embedded AWS accepts and which it refuses, mostly over real connections."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import socket
from contextlib import suppress
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from ministack.services import sts

from iotpipe.local.guard import Application, Guard, Message, Receive, Send
from iotpipe.local.signatures import Scope, Signatures
from tests.support.local_machine import Machine

pytestmark = pytest.mark.embedded

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
    """Send ListTables; return its answer."""
    return machine.signed("dynamodb", "POST", "/", b"{}", key, JSON | headers)


def test_whoever_has_the_root_key_is_let_in(running: Machine) -> None:
    assert asked(running) == (200, '{"TableNames": []}')
    identity = running.client("sts").get_caller_identity()
    assert (identity["Account"], identity["Arn"]) == ("000000000000", "arn:aws:iam::000000000000:root")


@pytest.mark.parametrize("server", ["port", "mqtt_port"])
def test_it_listens_on_loopback_alone(running: Machine, server: str) -> None:
    outside = socket.socket()
    # Connecting a datagram socket finds this machine's external address without sending anything.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            address = probe.getsockname()[0]
        except OSError:
            address = "127.0.0.2"
    with outside, pytest.raises(OSError):
        outside.connect((address, getattr(running.record, server)))


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
        ("POST", "/_iotpipe/save"),
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


def guard(application: Application) -> Guard:
    """Return a guard in front of an application, without a server."""

    async def nobody(method: str, path: str) -> dict[str, Any]:
        raise AssertionError("asked")

    async def ready() -> None:
        return

    signatures = Signatures("R")
    return Guard(
        application,
        port=1,
        secret="s",
        signatures=signatures,
        ready=ready,
        on_request=lambda: None,
        admin=nobody,
    )


async def behind(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("let in")


HOST, SIGNED = (
    (b"host", b"127.0.0.1:1"),
    (
        b"authorization",
        b"AWS4-HMAC-SHA256 Credential=R/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature="
        + b"0" * 64,
    ),
)


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ((HOST, HOST, SIGNED), "only known as"),
        ((HOST, SIGNED, SIGNED), "in one Authorization header"),
        ((HOST, (SIGNED[0], SIGNED[1].replace(b"Credential=R", b"Credential=test"))), "does not know that access key"),
    ],
)
def test_what_is_refused_by_its_head_is_not_read(headers: Any, said: str) -> None:
    async def receive() -> Message:
        assert sent, "read before it was refused"
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)
        await asyncio.sleep(0)

    sent: list[Message] = []
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}
    asyncio.run(guard(behind)(scope, receive, send))
    assert sent[0]["status"] in (400, 403)
    assert said in sent[1]["body"].decode()


@pytest.mark.parametrize("pieces", [1, 3])
def test_what_is_sent_to_an_api_goes_through_as_it_is_compressed_or_not(
    monkeypatch: pytest.MonkeyPatch, pieces: int
) -> None:
    root = {"Arn": "arn:aws:iam::000000000000:root", "UserId": "000000000000", "AccountId": "000000000000"}
    session = root | {"PrincipalType": "Root", "SecretAccessKey": "secret"}
    monkeypatch.setitem(sts._sessions, "R", session)
    path, body = "/_aws/execute-api/abc/local/ingest", gzip.compress(bytes(range(256)) * 40)
    request = AWSRequest("POST", f"http://127.0.0.1:1{path}", data=body, headers={"Content-Encoding": "gzip"})
    SigV4Auth(Credentials("R", "secret"), "execute-api", "us-east-1").add_auth(request)
    headers = [(name.lower().encode(), value.encode()) for name, value in request.headers.items()]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": [*headers, HOST]}
    size = len(body) // pieces + 1
    coming = [body[start : start + size] for start in range(0, len(body), size)]
    heard: list[Message] = []

    async def receive() -> Message:
        if not coming:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": coming.pop(0), "more_body": bool(coming)}

    async def application(given: Scope, hear: Receive, send: Send) -> None:
        assert given is scope
        heard.extend([await hear(), await hear()])

    asyncio.run(guard(application)(scope, receive, never))
    assert heard == [{"type": "http.request", "body": body, "more_body": False}, {"type": "http.disconnect"}]


async def never(message: Message) -> None:
    raise AssertionError(message)


def test_a_websocket_is_closed_before_anything_behind_the_guard_hears_of_it(running: Machine) -> None:
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    assert running.send("GET", "/_aws/execute-api/abc/local", upgrade | key)[0] == 403

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    sent: list[Message] = []
    scope = {"type": "websocket", "path": "/_aws/execute-api/abc/local", "headers": [(b"host", b"127.0.0.1:1")]}
    asyncio.run(guard(behind)(scope | {"query_string": b""}, receive, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


FORM = {"Content-Type": "application/x-www-form-urlencoded"}
TARGET = "X-Amz-Target"


class Signer(SigV4Auth):
    """Signs all headers except `unsigned`."""

    def __init__(self, key: Credentials, service: str, unsigned: tuple[str, ...]) -> None:
        super().__init__(key, service, "us-east-1")
        self.unsigned = unsigned

    def headers_to_sign(self, request: AWSRequest) -> Any:
        headers = super().headers_to_sign(request)
        for name in self.unsigned:
            del headers[name]
        return headers


def tampered(
    machine: Machine,
    headers: dict[str, str],
    unsigned: tuple[str, ...] = (),
    later: dict[str, str] | None = None,
    body: bytes | None = None,
    query: str = "",
) -> tuple[int, str]:
    """Sign a request with the root key, change it, and return the answer."""
    request = AWSRequest("POST", f"{machine.record.endpoint}/", data=b"{}", headers=headers)
    Signer(machine.root, "dynamodb", unsigned).add_auth(request)
    return machine.send("POST", f"/{query}", dict(request.headers) | (later or {}), b"{}" if body is None else body)


EMPTY = hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"unsigned": ("host",)}, "'host' must be a 'SignedHeader'"),
        ({"unsigned": ("x-amz-date",)}, "'x-amz-date' must be a 'SignedHeader'"),
        ({"unsigned": ("x-amz-target",)}, "'x-amz-target' must be a 'SignedHeader'"),
        ({"later": {"X-Amz-Content-Sha256": EMPTY}}, "'x-amz-content-sha256' must be a 'SignedHeader'"),
        ({"later": {TARGET: "DynamoDB_20120810.DeleteTable"}}, "does not match the signature"),
        ({"later": {"X-Amz-Date": "20200101T000000Z"}}, "Signature expired"),
        ({"later": {"X-Amz-Date": "yesterday"}}, "X-Amz-Date is not a time"),
        ({"body": b'{"Limit": 1}'}, "does not match the signature"),
        ({"headers": {"X-Amz-Content-Sha256": EMPTY}}, "is not the hash of the body"),
        ({"headers": {"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"}}, "is not the hash of the body"),
        ({"query": "?X=1"}, "the operation is ambiguous"),
    ],
)
def test_a_signature_binds_the_host_the_operation_the_moment_and_the_body(
    running: Machine, changes: dict[str, Any], said: str
) -> None:
    assert tampered(running, JSON)[0] == 200
    status, answer = tampered(running, JSON | changes.pop("headers", {}), **changes)
    assert status in (400, 403)
    assert said in answer


@pytest.fixture(scope="module")
def reader(running: Machine) -> Credentials:
    """Return the key of a user who may only list queues and functions and query tables."""
    iam = running.client("iam")
    iam.create_user(UserName="lister")
    actions = ["sqs:ListQueues", "lambda:ListFunctions", "dynamodb:Query"]
    allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
    iam.put_user_policy(UserName="lister", PolicyName="list", PolicyDocument=json.dumps(allowed))
    made = iam.create_access_key(UserName="lister")["AccessKey"]
    return Credentials(made["AccessKeyId"], made["SecretAccessKey"])


SCAN = {TARGET: "DynamoDB_20120810.Scan"}
PLAIN = {"Content-Type": "application/x-amz-json-1.0"}
QUERYING = b'{"TableName": "x", "_": "&Action=Query&"}'


@pytest.mark.parametrize(
    ("service", "method", "path", "headers", "body"),
    [
        ("dynamodb", "POST", "/?Action=Query", PLAIN | SCAN, b"{}"),
        ("dynamodb", "POST", "/?%61ction=Query", PLAIN | SCAN, b"{}"),
        ("dynamodb", "POST", "/", FORM | SCAN, QUERYING),
        (
            "dynamodb",
            "POST",
            "/",
            {"Content-Type": f"{PLAIN['Content-Type']}; {FORM['Content-Type']}"} | SCAN,
            QUERYING,
        ),
        ("lambda", "GET", "/2015-03-31/functions/f?Action=ListFunctions", {}, b""),
        ("lambda", "GET", "/2015-03-31/functions/f", {TARGET: "AWSLambda.ListFunctions"}, b""),
        ("lambda", "DELETE", "/2015-03-31/functions/f", FORM, b"Action=ListFunctions"),
        ("lambda", "GET", "/2015-03-31/Functions/f", {}, b""),
        ("sqs", "POST", "/?QueueName=x", FORM, b"Action=ListQueues"),
        ("sqs", "POST", "/", PLAIN | SCAN, b"{}"),
        (
            *("monitoring", "POST", "/service/GraniteServiceVersion20100801/operation/DescribeAlarms"),
            *({"Content-Type": "application/cbor", "Smithy-Protocol": "rpc-v2-cbor"}, b"\xa0"),
        ),
    ],
)
def test_a_right_to_one_operation_is_none_to_another_by_naming_two(
    running: Machine, reader: Credentials, service: str, method: str, path: str, headers: dict[str, str], body: bytes
) -> None:
    assert running.signed("sqs", "POST", "/", b"Action=ListQueues", reader, FORM)[0] == 200
    status, said = running.signed(service, method, path, body, reader, headers)
    assert (status, "not authorized" in said or "Denied" in said or "SignatureDoesNotMatch" in said) == (403, True)


@pytest.mark.parametrize("service", ["sqs", "execute-api"])
def test_a_signature_for_one_service_is_none_for_another(running: Machine, service: str) -> None:
    assert running.signed(service, "POST", "/", b"{}", None, JSON)[0] == 403
    status, said = running.signed("sqs", "POST", "/_aws/execute-api/abc/local/ingest", b"{}")
    assert (status, json.loads(said)) == (
        403,
        {"message": "Credential should be scoped to correct service: 'execute-api'."},
    )


@pytest.mark.parametrize("service", ["s3", "execute-api", "cognito-idp", "sqs"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", "/health"), ("OPTIONS", "/"), ("OPTIONS", "/_aws/execute-api/abc/local/ingest"), ("GET", "/v2/")),
        *(("GET", "/oauth2/authorize"), ("POST", "/oauth2/token"), ("GET", "/login"), ("GET", "/latest/meta-data/")),
        *(("GET", "/.well-known/openid-configuration"), ("GET", "/v20180820/tags/x"), ("GET", "/oidc/x")),
    ],
)
def test_no_path_answers_to_a_forged_signature(running: Machine, service: str, method: str, path: str) -> None:
    status, said = running.signed(service, method, path, b"", Credentials(running.root.access_key, "wrong"))
    assert status in (400, 403)
    assert any(word in said for word in ("signature", "scoped", "no API"))


def streamed(machine: Machine, headers: dict[str, str], megabytes: int, path: str = "/") -> tuple[str, float]:
    """Send a body in pieces; return the status line and how many megabytes were sent before the answer."""
    said = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection(("127.0.0.1", machine.record.port), timeout=60) as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{machine.record.port}\r\n{said}\r\n".encode())
        taken, piece = 0, b"x" * 2**16
        if "Transfer-Encoding" in headers:
            piece = b"%x\r\n%s\r\n" % (len(piece), piece)
        with suppress(ConnectionError):
            while taken < megabytes * 2**20:
                connection.sendall(piece)
                taken += len(piece)
        answer = b""
        with suppress(ConnectionError):
            while part := connection.recv(2**16):
                answer += part
    return answer.decode().partition("\r\n")[0], taken / 2**20


def test_a_large_body_is_not_taken_in_from_somebody_without_a_key(running: Machine) -> None:
    for path in ("/", "/_aws/execute-api/abc/local/ingest"):
        for how in ({"Content-Length": str(300 * 2**20)}, {"Transfer-Encoding": "chunked"}):
            status, taken = streamed(running, how, 300, path)
            assert " 403 " in status
            assert taken < 20


def test_a_body_that_is_larger_than_aws_takes_is_refused_before_it_is_all_there(running: Machine) -> None:
    forged = Credentials(running.root.access_key, "wrong")
    path = "/_aws/execute-api/abc/local/ingest"
    request = AWSRequest("POST", f"{running.record.endpoint}{path}", data=b"")
    SigV4Auth(forged, "execute-api", "us-east-1").add_auth(request)
    headers = {name: value for name, value in request.headers.items() if name != "Content-Length"}
    for how in ({"Content-Length": str(300 * 2**20)}, {"Transfer-Encoding": "chunked"}):
        status, taken = streamed(running, headers | how, 300, path)
        assert " 413 " in status
        assert taken < 30


def test_a_compressed_request_is_refused_whoever_sends_it(running: Machine) -> None:
    bomb = gzip.compress(b"0" * 4_000_000)
    status, said = running.signed("dynamodb", "POST", "/", bomb, None, JSON | {"Content-Encoding": "gzip"})
    assert status == 415
    assert "AWS_DISABLE_REQUEST_COMPRESSION" in said


def test_a_refusal_is_understood_by_the_clients_of_every_protocol(running: Machine) -> None:
    unknown = Credentials("AKIAIOSFODNN7EXAMPLE", "x")
    for service, call, code in (
        ("dynamodb", "list_tables", "UnrecognizedClientException"),
        ("sts", "get_caller_identity", "InvalidClientTokenId"),
        ("cloudwatch", "describe_alarms", "InvalidClientTokenId"),
        ("apigateway", "get_rest_apis", "UnrecognizedClientException"),
    ):
        with pytest.raises(ClientError) as refused:
            getattr(running.client(service, unknown), call)()
        assert refused.value.response["Error"]["Code"] == code
    expected = {"message": "Missing Authentication Token"}
    assert json.loads(running.send("POST", "/_aws/execute-api/abc/local/ingest", {}, b"{}")[1]) == expected


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
    for path in (
        running.engine_directory.path.parent,
        running.engine_directory.path,
        *running.engine_directory.path.rglob("*"),
    ):
        assert path.stat().st_mode & 0o077 == 0, path
