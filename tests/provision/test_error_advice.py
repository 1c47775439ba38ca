"""Hints fit the cause: a denying policy, the region, the clock and a proxy each need another one than a login."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore import exceptions
from moto.core.models import botocore_stubber

from iotpipe.errors import CredentialsError, IotpipeError, ResourceError, UsageError
from iotpipe.provision.aws import connect
from iotpipe.provision.run import Run
from tests.support.engine_world import refusal
from tests.support.resource_contract import QuickWorld

WHO = (
    "User: arn:aws:sts::123456789012:assumed-role/ops/me is not authorized to perform: dynamodb:CreateTable on resource"
)
ON = f"{WHO}: arn:aws:dynamodb:us-east-1:123456789012:table/t"
INVALID = "The security token included in the request is invalid."
EARLIER = "Signature expired: 20261122T100000Z is now earlier than 20261122T104500Z (20261122T110000Z - 15 min.)"
LATER = "Signature not yet current: 20261122T120000Z is still later than 20261122T111500Z (20261122T110000Z + 15 min.)"
WRONG_KEY = (
    "The request signature we calculated does not match the signature you provided. "
    "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
)
PAGE = "<html><head><title>Access denied</title></head><body>" + "<p>The site is blocked.</p>" * 200 + "</body></html>"


def ended(world: QuickWorld, error: Exception, region: str = "us-east-1") -> IotpipeError:
    """Return the error that iotpipe reports for an AWS error that persists."""
    run = world.run()
    run.aws = type(run.aws)(run.aws.session, run.aws.account, region, run.aws.caller)

    def attempt(number: int) -> None:
        raise error

    with pytest.raises(IotpipeError) as failed:
        run.with_retries("create", "table/t", attempt)
    return failed.value


# Denied by a policy


@pytest.mark.parametrize(
    ("because", "who"),
    [
        ("with an explicit deny in a service control policy", "service control policy of the organization"),
        (
            "with an explicit deny in a service control policy: arn:aws:organizations::999999999999:policy/o-1/p-1",
            "service control policy of the organization",
        ),
        ("because no service control policy allows the dynamodb:CreateTable action", "service control policy of the"),
        ("with an explicit deny in a resource control policy", "resource control policy of the organization"),
        ("because no resource control policy allows the dynamodb:CreateTable action", "resource control policy of the"),
        ("because no permissions boundary allows the dynamodb:CreateTable action", "permissions boundary of the"),
        ("with an explicit deny in a permissions boundary", "permissions boundary of the"),
        ("because no session policy allows the dynamodb:CreateTable action", "session policy with which"),
        ("with an explicit deny in a session policy", "session policy with which"),
        ("because no VPC endpoint policy allows the dynamodb:CreateTable action", "policy of the VPC endpoint"),
        ("with an explicit deny in a VPC endpoint policy", "policy of the VPC endpoint"),
        ("with an explicit deny in an identity-based policy", "A policy denies CreateTable explicitly"),
        ("with an explicit deny in a resource-based policy", "A policy denies CreateTable explicitly"),
        ("with an explicit deny", "A policy denies CreateTable explicitly"),
    ],
)
@pytest.mark.parametrize("code", ["AccessDeniedException", "AccessDenied", "AuthorizationError"])
def test_what_a_policy_forbids_no_further_permission_allows(
    world: QuickWorld, code: str, because: str, who: str
) -> None:
    error = ended(world, refusal("CreateTable", code, f"{ON} {because}"))
    assert isinstance(error, ResourceError)
    assert who in error.hint and "CreateTable" in error.hint
    assert "iotpipe policy" not in error.hint


@pytest.mark.parametrize("because", ["", " because no identity-based policy allows the dynamodb:CreateTable action"])
def test_a_permission_that_is_missing_can_be_printed(world: QuickWorld, because: str) -> None:
    error = ended(world, refusal("CreateTable", "AccessDeniedException", ON + because))
    assert "`iotpipe policy --env dev`" in error.hint


# The region


@pytest.mark.parametrize("code", ["InvalidClientTokenId", "UnrecognizedClientException"])
def test_a_region_that_must_be_enabled_is_named_beside_the_credentials(world: QuickWorld, code: str) -> None:
    error = ended(world, refusal("DescribeTable", code, INVALID), "af-south-1")
    assert isinstance(error, CredentialsError)
    assert "renew them" in error.hint and "iotpipe up" in error.hint
    assert "`aws account enable-region --region-name af-south-1`" in error.hint


def test_a_region_that_is_always_enabled_is_no_cause(world: QuickWorld) -> None:
    assert "enable-region" not in ended(world, refusal("DescribeTable", "InvalidClientTokenId", INVALID)).hint


def test_an_expired_token_is_no_matter_of_the_region(world: QuickWorld) -> None:
    expired = refusal("DescribeTable", "ExpiredTokenException", "The security token included in the request is expired")
    assert "af-south-1" not in ended(world, expired, "af-south-1").hint


@pytest.mark.parametrize(("region", "named"), [("cn-north-1", "AWS China"), ("us-gov-west-1", "AWS GovCloud")])
def test_another_partition_takes_only_credentials_of_its_own(world: QuickWorld, region: str, named: str) -> None:
    hint = ended(world, refusal("DescribeTable", "UnrecognizedClientException", INVALID), region).hint
    assert f"{region} takes only credentials of {named}" in hint


def test_an_endpoint_that_is_not_found_may_be_that_of_no_region(world: QuickWorld) -> None:
    lost = exceptions.EndpointConnectionError(endpoint_url="https://dynamodb.eu-centrl-1.amazonaws.com/")
    hint = ended(world, lost, "eu-centrl-1").hint
    assert "eu-centrl-1 is no known region, but eu-central-1 is" in hint
    assert "Check the network" in hint
    assert "region" not in ended(world, lost).hint.replace("the network, the region", "")


def test_an_account_that_is_not_activated_is_said_to_be(world: QuickWorld) -> None:
    said = "The AWS Access Key Id needs a subscription for the service"
    for code in ("OptInRequired", "SubscriptionRequiredException"):
        assert "account is not activated" in ended(world, refusal("CreateTable", code, said)).hint
        assert (
            "enable-region --region-name me-south-1"
            in ended(world, refusal("CreateTable", code, said), "me-south-1").hint
        )


# The clock


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("InvalidSignatureException", EARLIER),
        ("InvalidSignatureException", LATER),
        ("SignatureDoesNotMatch", EARLIER),
        ("RequestTimeTooSkewed", "The difference between the request time and the current time is too large."),
        ("RequestExpired", "Request has expired."),
    ],
)
def test_a_wrong_clock_is_not_called_expired_credentials(world: QuickWorld, code: str, message: str) -> None:
    error = ended(world, refusal("DescribeTable", code, message))
    assert isinstance(error, CredentialsError)
    assert error.message.startswith("AWS rejects requests because this machine's clock is minutes off: ")
    assert "set the clock" in error.hint and "renew" not in error.hint


@pytest.mark.parametrize(
    ("date", "said"), [("Fri, 15 Jan 2027 08:00:00 GMT", "0 s slow"), ("Fri, 15 Jan 2027 07:00:00 GMT", "3600 s fast")]
)
def test_how_far_the_clock_is_off_is_read_from_the_answers_date(world: QuickWorld, date: str, said: str) -> None:
    error = refusal("DescribeTable", "InvalidSignatureException", EARLIER)
    error.response["ResponseMetadata"] = {"HTTPHeaders": {"date": date}}  # type: ignore[typeddict-item] # in part
    assert f"clock is {said}" in ended(world, error).message


@pytest.mark.parametrize("code", ["SignatureDoesNotMatch", "InvalidSignatureException"])
def test_a_wrong_key_is_no_matter_of_the_clock(world: QuickWorld, code: str) -> None:
    error = ended(world, refusal("DescribeTable", code, WRONG_KEY))
    assert isinstance(error, CredentialsError)
    assert "clock" not in str(error) and "renew them" in error.hint


@pytest.mark.parametrize("message", [EARLIER, INVALID])
def test_what_waits_for_something_ends_with_it(world: QuickWorld, message: str) -> None:
    run: Run = world.run()
    refused = refusal("DescribeTable", "InvalidSignatureException", message)

    def attempt(number: int) -> None:
        raise refused

    with pytest.raises(CredentialsError):
        run.with_retries("create", "table/t", attempt)
    assert run.stop.is_set()


# The text


def test_a_page_in_a_message_is_told_in_a_line(world: QuickWorld) -> None:
    error = ended(world, refusal("CreateTable", "ValidationException", f"\n{PAGE}\n"))
    assert error.message.startswith("cannot create table/t: ValidationException: Access denied The site is blocked.")
    assert len(error.message) < 400 and "<" not in error.message


def test_a_code_without_a_message_stands_alone(world: QuickWorld) -> None:
    assert ended(world, refusal("GetParameter", "ParameterNotFound", "")).message.endswith(": ParameterNotFound")


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (exceptions.SSLError(endpoint_url="https://aws.example", error="certificate verify failed"), "AWS_CA_BUNDLE"),
        (exceptions.ProxyConnectionError(proxy_url="http://proxy.example"), "NO_PROXY"),
    ],
)
def test_what_a_proxy_breaks_names_the_proxys_settings(world: QuickWorld, error: Exception, named: str) -> None:
    assert named in ended(world, error).hint


# The first call


@pytest.fixture
def sts(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """STS answers with this error."""

    def says(code: str, message: str, date: str = "") -> None:
        body = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
        headers = {"date": date} if date else {}
        monkeypatch.setattr(type(botocore_stubber), "process_request", lambda *request: (403, headers, body))
        monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)

    return says


def refused(region: str = "us-east-1") -> CredentialsError:
    with pytest.raises(CredentialsError) as failed:
        connect(None, region, None)
    return failed.value


def test_the_first_call_knows_of_regions_too(sts: Callable[..., None]) -> None:
    sts("InvalidClientTokenId", INVALID)
    assert "aws sso login" in refused("af-south-1").hint
    assert "enable-region --region-name af-south-1" in refused("af-south-1").hint
    assert "enable-region" not in refused().hint


def test_the_first_call_knows_of_clocks_too(sts: Callable[..., None]) -> None:
    sts("SignatureDoesNotMatch", EARLIER, "Thu, 01 Jan 2026 00:00:00 GMT")
    error = refused()
    assert "AWS rejects requests because this machine's clock is" in error.message and "s fast" in error.message
    assert error.hint == "Set the clock; nothing was changed"


def test_the_first_call_knows_of_policies_too(sts: Callable[..., None]) -> None:
    sts("AccessDenied", f"{WHO} with an explicit deny in a service control policy")
    assert "service control policy of the organization" in refused().hint
    sts("Throttling", "Rate exceeded")
    assert "try again later" in refused().hint and "login" not in refused().hint


def test_a_role_that_may_not_be_assumed_is_no_matter_of_a_login(
    sts: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "aws").write_text(
        "[profile ops]\nrole_arn = arn:aws:iam::123456789012:role/ops\nsource_profile = ops\n"
        "aws_access_key_id = a\naws_secret_access_key = b\n"
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws"))
    monkeypatch.setenv("AWS_PROFILE", "ops")
    sts("AccessDenied", "User: arn:aws:iam::123456789012:user/me is not authorized to perform: sts:AssumeRole")
    assert "trust policy" in refused().hint and "role_arn" in refused().hint


def test_what_is_no_region_is_a_matter_of_usage() -> None:
    with pytest.raises(UsageError, match="us east 1 is not a valid region") as failed:
        connect(None, "us east 1", None)
    assert "AWS_REGION" in failed.value.hint


def test_settings_that_cannot_be_used_are_not_called_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "true")
    monkeypatch.setenv("AWS_STS_REGIONAL_ENDPOINTS", "sometimes")
    error = refused()
    assert error.message.startswith("the AWS settings are invalid: ") and "sso login" not in error.hint
