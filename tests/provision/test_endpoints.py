"""All services must have the endpoint of STS, so that STS names the account that iotpipe changes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import boto3
import botocore.session
import pytest
from moto.core.models import botocore_stubber

import iotpipe
from iotpipe.errors import CredentialsError
from iotpipe.provision.aws import Emulator, connect
from iotpipe.provision.endpoints import EXTRA_SERVICES, configured
from iotpipe.provision.resources import SERVICES

ASKED = ("sts", *SERVICES, *EXTRA_SERVICES)


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The URLs of all requests that are sent."""
    urls: list[str] = []
    really = type(botocore_stubber).process_request

    def process(stub: object, request: object) -> object:
        urls.append(request.url)  # type: ignore[attr-defined] # botocore's
        request.url = "https://sts.us-east-1.amazonaws.com/"  # type: ignore[attr-defined] # all of it is moto
        return really(botocore_stubber, request)  # type: ignore[arg-type] # botocore's

    monkeypatch.setattr(type(botocore_stubber), "process_request", process)
    return urls


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config"
    monkeypatch.setenv("AWS_CONFIG_FILE", str(path))
    return path


def in_settings(service: str) -> str:
    model = botocore.session.get_session().get_service_model(service)
    return str(model.service_id).replace(" ", "_")


def as_botocore_finds_it() -> Iterator[tuple[str, str, str]]:
    session = boto3.Session(region_name="us-east-1")
    for service in ASKED:
        found = configured(botocore.session.get_session(), service)
        yield service, session.client(service).meta.endpoint_url, found.url


def test_a_variable_of_each_service_is_found_as_botocore_finds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for service in ASKED:
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{in_settings(service).upper()}", f"http://{service}.example:1")
    for service, theirs, ours in as_botocore_finds_it():
        assert theirs == ours == f"http://{service}.example:1"


def test_the_profiles_services_are_found_as_botocore_finds_them(profile: Path) -> None:
    lines = [f"{in_settings(each).lower()} =\n  endpoint_url = http://{each}.example:1" for each in ASKED[:-1]]
    rest = "[default]\nservices = here\nendpoint_url = http://rest.example:1\n"
    profile.write_text(rest + "[services here]\n" + "\n".join(lines) + "\n")
    for service, theirs, ours in as_botocore_finds_it():
        assert theirs == ours == f"http://{'rest' if service == ASKED[-1] else service}.example:1"


@pytest.mark.matrix
def test_every_service_that_is_called_is_looked_at() -> None:
    called = {
        node.args[0].value
        for file in Path(iotpipe.__file__).parent.rglob("*.py")
        if "handlers" not in file.parts
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "client"
        if node.args and isinstance(node.args[0], ast.Constant)
    }
    assert called and called <= set(ASKED)


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"AWS_ENDPOINT_URL_STS": "http://elsewhere.example"}, ["AWS_ENDPOINT_URL_STS", "http://elsewhere.example"]),
        ({"AWS_ENDPOINT_URL_DYNAMODB": "http://localhost:8000"}, ["AWS_ENDPOINT_URL_DYNAMODB", "dynamodb"]),
        ({"AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": "https://logs.example"}, ["AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", "logs"]),
        (
            {"AWS_ENDPOINT_URL_RESOURCE_GROUPS_TAGGING_API": "http://127.0.0.1:1"},
            ["AWS_ENDPOINT_URL_RESOURCE_GROUPS_TAGGING_API"],
        ),
        (
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566", "AWS_ENDPOINT_URL_SQS": "http://127.0.0.1:9324"},
            ["AWS_ENDPOINT_URL_SQS", "sqs at http://127.0.0.1:9324", "http://127.0.0.1:4566 (AWS_ENDPOINT_URL)"],
        ),
        ({"AWS_ENDPOINT_URL_SQS": "https://sqs.amazonaws.com.example"}, ["AWS_ENDPOINT_URL_SQS"]),
        ({"AWS_ENDPOINT_URL_SQS": "https://notamazonaws.com"}, ["AWS_ENDPOINT_URL_SQS"]),
    ],
)
def test_services_at_different_places_are_refused_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch, sent: list[str], variables: dict[str, str], named: list[str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(CredentialsError, match="different endpoints: sts at ") as refused:
        connect(None, "us-east-1", None, services=SERVICES)
    for each in named:
        assert each in str(refused.value)
    assert named[0] in refused.value.hint
    assert sent == []


def test_a_service_that_the_profile_sends_elsewhere_is_refused_with_its_setting(profile: Path, sent: list[str]) -> None:
    section = "[services here]\ndynamodb =\n  endpoint_url = http://localhost:8000\n"
    profile.write_text(f"[default]\nservices = here\n{section}")
    with pytest.raises(CredentialsError) as refused:
        connect(None, "us-east-1", None, services=SERVICES)
    assert "dynamodb.endpoint_url in [services here]" in refused.value.hint
    assert sent == []


@pytest.mark.parametrize(
    "variables",
    [
        {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"},
        {"AWS_ENDPOINT_URL": "http://emulator.example", "AWS_ENDPOINT_URL_SQS": "http://emulator.example:80/"},
        {"AWS_ENDPOINT_URL_SQS": "https://vpce-1a-2b.sqs.us-east-1.vpce.amazonaws.com"},
        {
            "AWS_ENDPOINT_URL_STS": "https://sts.amazonaws.com",
            "AWS_ENDPOINT_URL_LAMBDA": "https://lambda.us-east-1.api.aws",
        },
        {"AWS_ENDPOINT_URL_STS": "https://sts.eusc-de-east-1.amazonaws.eu"},
        {"AWS_ENDPOINT_URL_SQS": "http://localhost:9324", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
    ],
)
def test_what_leads_to_one_place_is_used(
    monkeypatch: pytest.MonkeyPatch, sent: list[str], variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert connect(None, "us-east-1", None, services=("lambda", "sqs")).account == "123456789012"
    assert len(sent) == 1


def test_an_emulator_is_asked_whatever_the_settings_say(monkeypatch: pytest.MonkeyPatch, sent: list[str]) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "http://elsewhere.example")
    aws = connect(None, "us-east-1", None, Emulator("http://127.0.0.1:4566", "a", "b"), SERVICES)
    assert aws.client("sqs").meta.endpoint_url == "http://127.0.0.1:4566"
    assert sent == ["http://127.0.0.1:4566/"]


def test_an_address_that_is_none_is_named_with_its_setting(monkeypatch: pytest.MonkeyPatch, sent: list[str]) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "nonsense")
    with pytest.raises(CredentialsError, match="Invalid endpoint: nonsense") as refused:
        connect(None, "us-east-1", None, services=SERVICES)
    assert "AWS_ENDPOINT_URL_SQS" in refused.value.hint
    assert sent == []
