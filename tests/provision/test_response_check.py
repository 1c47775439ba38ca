"""A response that does not come from AWS is never accepted: the call is retried, then reported with a hint."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.client import BaseClient
from moto.core.botocore_stubber import MockRawResponse
from moto.core.models import botocore_stubber

from iotpipe.errors import ApplyFailed, CredentialsError, ResourceError
from iotpipe.operations.health import health
from iotpipe.provision.aws import connect
from iotpipe.provision.resources.alarm import Alarm
from iotpipe.provision.resources.log_group import LogGroup
from iotpipe.provision.resources.metric import Metric
from iotpipe.provision.resources.parameter import Parameter
from iotpipe.provision.resources.queue import Queue
from iotpipe.provision.resources.rest_api import RestApi
from iotpipe.provision.resources.role import Role
from iotpipe.provision.resources.table import Table
from iotpipe.provision.resources.topic import Topic
from iotpipe.provision.response_check import REQUIRED, one_line
from tests.support.engine_world import declared
from tests.support.resource_contract import QuickWorld

FOREVER = 1_000_000
PORTAL = f"""<!DOCTYPE html><html><head><title>Sign in to Hotel Wi-Fi</title><style>{"p {color: red} " * 200}</style>
<script>location = "https://portal.example/"</script></head><body><p>Please accept our terms.</p></body></html>"""
XHTML = '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><body><p>Please sign in.</p></body></html>'
CUT = '{"Table": {"TableName": "t", "TableStat'


class Proxy:
    """Answers the first calls of one operation in place of AWS."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.operation, self.times, self.asked = "", 0, 0
        self.answer: tuple[int, dict[str, str], str] = (200, {}, "")
        self._aws = type(botocore_stubber).__call__
        monkeypatch.setattr(type(botocore_stubber), "__call__", lambda stub, **call: self._sent(stub, **call))

    def answers(
        self, operation: str, body: str, status: int = 200, times: int = FOREVER, headers: dict[str, str] | None = None
    ) -> None:
        self.operation, self.times, self.answer = operation, times, (status, headers or {}, body)

    def _sent(self, stub: Any, event_name: str, request: Any, **call: Any) -> Any:
        if not event_name.endswith(f".{self.operation}") or self.asked >= self.times:
            return self._aws(stub, event_name=event_name, request=request, **call)
        self.asked += 1
        status, headers, body = self.answer
        return AWSResponse(request.url, status, headers, MockRawResponse(body))  # type: ignore[arg-type] # as moto does


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Proxy:
    return Proxy(monkeypatch)


def table() -> Table:
    return Table("t", ("id", "S"), ("at", "N"), point_in_time_recovery=False, deletion_protection=False)


def api() -> RestApi:
    return RestApi("a", "An API.")


def alarm() -> Alarm:
    return Alarm("x", "An alarm.", [Metric("AWS/SQS", "Sum", {})], 1, Topic("t", display_name="T"))


READ: list[tuple[str, Callable[[], Any]]] = [
    ("DescribeTable", table),
    ("GetRestApis", api),
    ("GetRole", lambda: Role("r", "lambda.amazonaws.com", [])),
    ("DescribeAlarms", alarm),
    ("DescribeLogGroups", lambda: LogGroup("/g", retention=7)),
    ("GetQueueAttributes", lambda: Queue("q", retention=60)),
    ("GetTopicAttributes", lambda: Topic("t", display_name="T")),
]


@pytest.mark.parametrize("body", [PORTAL, XHTML, "{}", CUT, "[]", '"hello"', "null", "", "Please sign in."])
@pytest.mark.parametrize(("operation", "make"), READ, ids=[each for each, _ in READ])
def test_what_is_no_answer_is_tried_again_and_then_said_to_be_none(
    world: QuickWorld, proxy: Proxy, operation: str, make: Callable[[], Any], body: str
) -> None:
    proxy.answers(operation, body)
    with pytest.raises(ApplyFailed) as failed:
        world.plan([make()])
    (error,) = failed.value.failed[:1]
    assert isinstance(error, ResourceError)
    assert f"something other than AWS answered {operation}: HTTP 200" in error.message
    assert re.search(r"tried \d+ times over \d+ s", error.message)
    for looked_at in ("HTTPS_PROXY", "network", "AWS_ENDPOINT_URL"):
        assert looked_at in error.hint
    assert len(str(error)) < 700 and "\n" not in str(error) and "<" not in str(error)


def test_one_that_passes_is_got_over(world: QuickWorld, proxy: Proxy) -> None:
    proxy.answers("CreateTable", "{}", times=1)
    world.up([table()])
    proxy.answers("DescribeTable", PORTAL, times=2)
    world.up([table()])
    assert any("reading again" in event.detail for event in world.events)


@pytest.mark.parametrize("body", [PORTAL, "Please sign in.", "[]"])
def test_a_page_is_not_taken_for_the_success_of_a_deletion(world: QuickWorld, proxy: Proxy, body: str) -> None:
    world.up([Queue("q", retention=60)])
    proxy.answers("DeleteQueue", body)
    with pytest.raises(ApplyFailed, match="other than AWS answered DeleteQueue"):
        world.down()
    proxy.times = 0
    world.down()
    assert world.calls.count("DeleteQueue") == 1


def test_a_cut_list_of_tags_is_not_taken_for_a_queue_without_tags(world: QuickWorld, proxy: Proxy) -> None:
    world.up([Queue("q", retention=60)])
    proxy.answers("ListQueueTags", '{"Tags": {"iotpipe:environment": "d')
    with pytest.raises(ApplyFailed, match="no JSON or only a part of it"):
        world.plan([Queue("q", retention=60)])


@pytest.mark.parametrize(
    ("status", "headers", "body", "said"),
    [
        (403, {}, PORTAL, "HTTP 403, an HTML page: Sign in to Hotel Wi-Fi Please accept our terms."),
        (503, {}, PORTAL, "HTTP 503, an HTML page: Sign in to Hotel Wi-Fi Please accept our terms."),
        (403, {}, "Blocked by the firewall", "HTTP 403, no JSON or only a part of it: Blocked by the firewall"),
        (403, {}, '{"error": "blocked"}', "HTTP 403, an error without a code of AWS's"),
        (403, {}, "", "HTTP 403, an error without a code of AWS's"),
        (302, {"location": "https://portal.example/"}, "", "HTTP 302, a redirection to https://portal.example/"),
    ],
)
@pytest.mark.parametrize("make", [table, api], ids=["json", "rest-json"])
def test_an_error_that_is_not_of_aws_is_no_missing_permission(
    world: QuickWorld,
    proxy: Proxy,
    make: Callable[[], Any],
    status: int,
    headers: dict[str, str],
    body: str,
    said: str,
) -> None:
    proxy.answers({"table": "DescribeTable", "rest-api": "GetRestApis"}[make().kind], body, status, headers=headers)
    with pytest.raises(ApplyFailed) as failed:
        world.plan([make()])
    assert said in str(failed.value)
    assert "iotpipe policy" not in str(failed.value) and "HTTPS_PROXY" in str(failed.value)


@pytest.mark.parametrize("status", [403, 503])
def test_of_a_service_that_answers_in_xml_neither(world: QuickWorld, proxy: Proxy, status: int) -> None:
    proxy.answers("GetTopicAttributes", XHTML, status)
    with pytest.raises(ApplyFailed, match=f"answered GetTopicAttributes: HTTP {status}, .*Please sign in"):
        world.plan([Topic("t", display_name="T")])


def test_a_load_balancers_bare_503_is_still_a_service_that_fails(world: QuickWorld, proxy: Proxy) -> None:
    proxy.answers("DescribeTable", "", 503, times=2)
    world.plan([table()])
    assert {event.detail for event in world.events} == {"the service is failing temporarily"}


# The first call


@pytest.mark.parametrize(
    ("body", "status"), [(PORTAL, 200), (XHTML, 200), ("{}", 200), ("", 200), (PORTAL, 403), (PORTAL, 503), ("", 302)]
)
def test_whose_the_credentials_are_is_asked_of_aws_only(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, body: str, status: int
) -> None:
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    proxy.answers("GetCallerIdentity", body, status)
    with pytest.raises(CredentialsError, match="AWS is unreachable: something other than AWS answered") as failed:
        connect(None, "us-east-1", None)
    assert "HTTPS_PROXY" in failed.value.hint and "nothing was changed" in failed.value.hint
    assert "aws sso login" not in failed.value.hint
    assert len(str(failed.value)) < 500
    assert proxy.asked == (3 if status == 503 else 1)


ASSUMED = """[profile ops]
role_arn = arn:aws:iam::123456789012:role/ops
source_profile = me
[profile me]
aws_access_key_id = a
aws_secret_access_key = b
"""


def test_the_credentials_of_a_role_are_asked_of_aws_only(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "aws").write_text(ASSUMED)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws"))
    proxy.answers("AssumeRole", "<AssumeRoleResponse><AssumeRoleResult/></AssumeRoleResponse>")
    with pytest.raises(CredentialsError, match="answered AssumeRole: HTTP 200, an answer without Credentials"):
        connect("ops", "us-east-1", None)


def test_what_may_be_the_beginning_of_an_answer_is_not_shown(world: QuickWorld, proxy: Proxy) -> None:
    world.up([Parameter("/p", {})])
    proxy.answers("GetParameter", '{"Parameter": {"Name": "/p", "Value": "hunter2')
    with pytest.raises(ApplyFailed, match="no JSON or only a part of it") as failed:
        world.plan([Parameter("/p", {})])
    assert "hunter2" not in str(failed.value)
    proxy.answers("GetTopicAttributes", "<GetTopicAttributesResponse>\n<GetTopicAttributesResult><Attributes>hunter2")
    with pytest.raises(ApplyFailed, match="invalid XML received") as failed:
        world.plan([Topic("t", display_name="T")])
    assert "hunter2" not in str(failed.value) and "HTTPS_PROXY" in str(failed.value)


# The table


class Looked(dict[str, Any]):
    """A response that records which of its members are read without a default."""

    def __init__(self, answer: dict[str, Any], seen: set[str]) -> None:
        super().__init__(answer)
        self.seen = seen

    def __getitem__(self, name: str) -> Any:
        self.seen.add(name)
        return super().__getitem__(name)


@pytest.mark.matrix
def test_each_member_that_is_looked_up_without_a_default_is_required(
    world: QuickWorld, config_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: dict[tuple[str, str], set[str]] = {}
    call = BaseClient._make_api_call  # type: ignore[attr-defined] # no part of its interface

    def noted(self: Any, operation: str, parameters: dict[str, Any]) -> Looked:
        seen = looked.setdefault((self.meta.service_model.service_name, operation), set())
        return Looked(call(self, operation, parameters), seen)

    monkeypatch.setattr(BaseClient, "_make_api_call", noted)
    wanted, tags = declared(config_dir)
    world.up(wanted, tags=tags)
    assert not health(world.run("status"), wanted).unread
    world.down(delete_data=True)
    assert len(looked) > 50
    for (service, operation), members in looked.items():
        assert members <= set(REQUIRED.get(service, {}).get(operation, ())), f"{service} {operation}"


def test_the_table_names_members_that_there_are() -> None:
    models = QuickWorld(Path()).connect().session._session
    for service, operations in REQUIRED.items():
        model = models.get_service_model(service)
        for operation, members in operations.items():
            assert set(members) <= model.operation_model(operation).output_shape.members.keys(), operation


# Shortening to one line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Rate exceeded", "Rate exceeded"),
        ("Value 'a' failed: 1 < 2 and <account> > 3", "Value 'a' failed: 1 < 2 and <account> > 3"),
        ("two\r\nlines\tof \x1b[31mred\x9b", "two lines of [31mred"),
        (PORTAL, "Sign in to Hotel Wi-Fi Please accept our terms."),
        ("<html><body><b>Http/1.1 Service&nbsp;Unavailable</b>", "Http/1.1 Service Unavailable"),
        ("<html><!-- " + "x" * 5000, ""),
        ("word " * 100, "word " * 59 + "wo..."),
    ],
)
def test_a_message_is_one_short_line_without_markup_or_control_characters(text: str, line: str) -> None:
    assert one_line(text) == line
    assert len(one_line(text)) <= 300
