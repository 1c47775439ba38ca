"""Error messages and hints for AWS calls that failed for good."""

from __future__ import annotations

import difflib
from email.utils import parsedate_to_datetime

import botocore.session
from botocore import exceptions
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from iotpipe.provision.call_errors import CallError, code_and_message
from iotpipe.provision.response_check import NotFromAws, one_line
from iotpipe.provision.retry_rules import rule_for

_CREDENTIALS_CODES = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "InvalidSignatureException",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "AuthFailure",
    }
)
"""Codes that mean the credentials are expired or invalid: every further call fails in the same way."""

_UNKNOWN_KEYS = frozenset({"InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure"})
"""Codes from a region that does not know the access key: AWS distributes keys only to regions that the account has
enabled."""

_CLOCK_SKEW_CODES = frozenset({"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"})
_CLOCK_SKEW_MESSAGES = ("signature expired", "signature not yet current")

_NO_CREDENTIALS = (
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.CredentialRetrievalError,
    exceptions.TokenRetrievalError,
    exceptions.SSOError,
    exceptions.LoginError,
)


def describe(error: CallError) -> str:
    """Describe the error in one short line: AWS's code and message, or botocore's."""
    if isinstance(error, NotFromAws):
        return str(error)
    message = message_of(error)
    return f"{code_of(error)}: {message}" if message else code_of(error)


def message_of(error: CallError) -> str:
    """Return AWS's message, or botocore's, as one short line."""
    if isinstance(error, ClientError):
        return one_line(code_and_message(error)[1])
    # botocore appends the response that it could not parse, which may contain secrets.
    text = str(error).partition("\n")[0].rstrip(":") if isinstance(error, ResponseParserError) else str(error)
    return one_line(text)


def code_of(error: CallError) -> str:
    """Return AWS's error code, or the exception's class name if AWS did not answer."""
    return code_and_message(error)[0] if isinstance(error, ClientError) else type(error).__name__


# The credentials and the clock


def is_credentials_error(error: CallError) -> bool:
    """Whether AWS does not accept the credentials, or this machine cannot renew them."""
    if isinstance(error, ClientError):
        return code_and_message(error)[0] in _CREDENTIALS_CODES and not is_clock_skew(error)
    return isinstance(error, _NO_CREDENTIALS)


def is_clock_skew(error: CallError) -> bool:
    """Whether AWS rejected the request because this machine's clock, whose time is part of the signature, is off."""
    if not isinstance(error, ClientError):
        return False
    code, message = code_and_message(error)
    return code in _CLOCK_SKEW_CODES or any(each in message.lower() for each in _CLOCK_SKEW_MESSAGES)


def clock_skew(error: CallError, now: float) -> str:
    """Describe a clock skew error. The Date header of the response tells by how much the clock is off."""
    return f"AWS rejects requests because this machine's clock is {_offset(error, now)}: {describe(error)}"


def _offset(error: CallError, now: float) -> str:
    metadata = error.response.get("ResponseMetadata", {}) if isinstance(error, ClientError) else {}
    try:
        seconds = now - parsedate_to_datetime(metadata.get("HTTPHeaders", {}).get("date", "")).timestamp()
    except (TypeError, ValueError):
        return "minutes off"
    return f"{abs(seconds):.0f} s {'fast' if seconds > 0 else 'slow'}"


# The region

_ALWAYS_ENABLED = frozenset(
    {
        *("us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-central-1", "sa-east-1"),
        *("eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3"),
        *("ap-south-1", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-southeast-1", "ap-southeast-2"),
    }
)
"""AWS's regions from before March 2019. An account must enable every later region before using it."""

_OTHER_PARTITIONS = {"cn-": "AWS China", "us-gov-": "AWS GovCloud", "eusc-": "the AWS European Sovereign Cloud"}


def with_region_hint(hint: str, error: CallError, region: str) -> str:
    """Add a hint about the region if the region, and not the credentials, may be the cause."""
    region_hint = isinstance(error, ClientError) and code_of(error) in _UNKNOWN_KEYS and _enable_hint(region)
    return f"{hint}. If they are valid elsewhere: {region_hint}" if region_hint else hint


def _enable_hint(region: str) -> str:
    for prefix, name in _OTHER_PARTITIONS.items():
        if region.startswith(prefix):
            return f"{region} takes only credentials of {name}: use those, or correct the region"
    if region in _ALWAYS_ENABLED:
        return ""
    return (
        f"the region {region} may not be enabled for the account: "
        f"`aws account enable-region --region-name {region}` enables it"
    )


def region_to_correct(region: str) -> str:
    """Return a hint to correct the region's name; empty if the region is known."""
    session = botocore.session.Session()
    partitions = session.get_available_partitions()
    known = [each for name in partitions for each in session.get_available_regions("lambda", name)]
    if region in known:
        return ""
    near = difflib.get_close_matches(region, known, n=1)
    return (
        f"Correct `region` in the configuration, AWS_REGION or --region: {region} is no known region"
        f"{f', but {near[0]} is' if near else ''}"
    )


# Hints

_NOT_FROM_AWS = "Something other than AWS answered: check the network's sign-in page, HTTPS_PROXY and AWS_ENDPOINT_URL"
_NETWORK = "Check the network, the region and AWS_ENDPOINT_URL"

_NOT_ACTIVATED = frozenset({"OptInRequired", "SubscriptionRequiredException", "RegionDisabledException"})

_DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "AuthorizationErrorException",
        "UnauthorizedException",
        "UnauthorizedOperation",
        "ForbiddenException",
        "403",
    }
)

_DENYING_POLICIES: tuple[tuple[str, str], ...] = (
    (
        "service control policy",
        "A service control policy of the organization forbids {}, whatever the credentials may do: "
        "ask who manages the organization, or use an account or region in which it is allowed",
    ),
    (
        "resource control policy",
        "A resource control policy of the organization forbids {} on this resource: ask who manages the organization",
    ),
    (
        "permissions boundary",
        "The permissions boundary of the credentials' user or role does not let them do {}, whatever else they may: "
        "have the boundary extended, or use credentials without it",
    ),
    (
        "session policy",
        "The session policy with which these credentials were issued does not let them do {}: "
        "have it extended, or get credentials without it",
    ),
    (
        "vpc endpoint policy",
        "The policy of the VPC endpoint that the call went through does not allow {}: "
        "have it extended, or call from another network",
    ),
    (
        "role trust policy",
        "The trust policy of the role does not let these credentials do {}: have it extended, or correct the profile",
    ),
    (
        "explicit deny",
        "A policy denies {} explicitly, which no permission outweighs: have that statement removed or limited",
    ),
)
"""Parts of AWS's messages that name the denying policy, and a hint for each. A missing permission is not among them."""

_HINTS: tuple[tuple[str, str], ...] = (
    (
        "UnreservedConcurrentExecution",
        "Lower functions.*.reserved_concurrency, set it to null, or ask AWS for more",
    ),
    (
        "execution role does not have permissions",
        "Its policy allows this: look for a permissions boundary, or a policy of the organization, that does not",
    ),
    ("DeletionProtectionEnabled", "Set tables.deletion_protection to false and run `iotpipe up` first"),
    ("CodeStorageExceeded", "Delete old function and layer versions of this account and region"),
    ("is not attachable", "Make the policy first that functions.permissions_boundary names, or name another"),
    (
        "WAFNonexistentItem",
        "There is no such web ACL, or no such stage any more: correct api.web_acl, and run it again",
    ),
    ("base path mapping", "Remove the API's custom domain mapping first"),
)

_CREDENTIAL_CALL_HINTS = {
    "AssumeRole": "The role's trust policy and the policies of who assumes it must allow sts:AssumeRole: "
    "check role_arn and source_profile of the profile",
    "AssumeRoleWithWebIdentity": "The role's trust policy must allow this token's issuer and subject to assume it",
    "GetRoleCredentials": "The user has no such role in that account: "
    "check sso_account_id and sso_role_name of the profile",
    "GetCallerIdentity": "It needs no permission: look for a policy that denies it",
}
"""Hints by operation, where AWS denies a call that gets the credentials or looks up their account."""


def hint_for(error: CallError, environment: str, region: str) -> str:
    """Return a hint for an error that retries did not resolve; empty if there is none."""
    if not isinstance(error, ClientError):
        return network_hint(error, region) if rule_for(error) else ""
    code, message = code_and_message(error)
    if code in _NOT_ACTIVATED:
        return _activate(region)
    if code in _DENIED:
        needed = f"`iotpipe policy --env {environment}` prints all that are needed"
        if any(each in message for each in ("restapis", "API-Gateway-Execution-Logs_")):
            # The printed policy allows paths with an API's id only for the recorded API, and `up` records an API only
            # when it creates it.
            needed += ", for the API that the state file names by now"
        denied = denial_hint(error.operation_name, message)
        return denied or f"The credentials need the permission for {error.operation_name}: {needed}"
    return next((hint for part, hint in _HINTS if part in message or part in code), "")


def is_denied(code: str) -> bool:
    """Whether the error code means that the caller lacks the permission for the call."""
    return code in _DENIED


def denial_hint(operation: str, message: str) -> str:
    """Return a hint if a policy denies the call whatever permissions the caller has; empty otherwise."""
    return next((hint.format(operation) for part, hint in _DENYING_POLICIES if part in message.lower()), "")


def network_hint(error: CallError, region: str) -> str:
    """Return what to check if AWS is unreachable."""
    if isinstance(error, NotFromAws | ResponseParserError):
        return _NOT_FROM_AWS
    if isinstance(error, exceptions.SSLError):
        return f"{_NETWORK}; where a proxy reads what is encrypted, set AWS_CA_BUNDLE to its certificates"
    if isinstance(error, exceptions.ProxyConnectionError):
        return "Check HTTPS_PROXY, and NO_PROXY for what is reached without it"
    wrong = region_to_correct(region) if isinstance(error, exceptions.EndpointConnectionError) else ""
    return f"{wrong}. {_NETWORK}" if wrong else _NETWORK


def identity_hint(error: ClientError, region: str) -> str:
    """Return a hint if AWS does not tell the account of the credentials; empty if the user needs other credentials."""
    code, message = code_and_message(error)
    if code in _NOT_ACTIVATED:
        return _activate(region)
    if code in _DENIED:
        return denial_hint(error.operation_name, message) or _CREDENTIAL_CALL_HINTS.get(error.operation_name, "")
    return "AWS is overloaded or has an outage: try again later; nothing was changed" if rule_for(error) else ""


def _activate(region: str) -> str:
    enable = _enable_hint(region)
    registration = (
        "The account is not activated for this: complete its registration in the AWS console (means of payment, "
        "telephone number), which may take AWS a day"
    )
    return f"{registration}. Or {enable}" if enable else registration
