"""One AWS account and region: the caller's identity, shared boto3 clients, and ARNs."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore import exceptions
from botocore.config import Config

from iotpipe.errors import CredentialsError, IotpipeError, UsageError
from iotpipe.provision import endpoints, error_advice
from iotpipe.provision.call_errors import CALL_ERRORS, CallError
from iotpipe.provision.response_check import check_responses
from iotpipe.provision.retry_rules import rule_for
from iotpipe.provision.throttling import retry_throttled_calls

_LOGIN_HINT = "Run `aws sso login` or `aws configure`, or set AWS_PROFILE; `--env local` needs no AWS account"
_SETTINGS_HINT = "Look at AWS_ENDPOINT_URL and its like, and at what the profile refers to; nothing was changed"

# No retries by botocore: after a lost response its retry of CreateRestApi would create a second API. iotpipe retries
# per resource, after it has read the current state from AWS (see retry_rules).
_CONFIG = Config(
    retries={"total_max_attempts": 1},
    max_pool_connections=64,
    connect_timeout=10,
    read_timeout=70,
    user_agent_extra="iotpipe",
)
# GetCallerIdentity is read-only: botocore may retry it.
_IDENTITY_CONFIG = _CONFIG.merge(Config(retries={"mode": "standard", "total_max_attempts": 3}))

_PARTITIONS = {"cn": "aws-cn", "us-gov": "aws-us-gov", "eusc-de": "aws-eusc"}
"""Partitions by the prefix of their regions' names; every other region is in `aws`."""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Emulator:
    """An emulator of AWS on this machine. Every client uses its endpoint, whatever the user's AWS settings are.

    Without its own access key, iotpipe uses the user's credentials.
    """

    endpoint: str
    access_key: str = ""
    secret_key: str = ""


@dataclass(eq=False)
class Aws:
    """The account and region of one command. Clients are safe to share between threads."""

    session: boto3.Session
    account: str
    region: str
    caller: str
    eventually_consistent: bool = True
    """True for AWS: deleted names stay reserved for a while, and new resources become visible late. False for an
    emulator."""
    emulator: Emulator | None = None
    _clients: dict[str, Any] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def client(self, service: str) -> Any:
        """Return the shared boto3 client of the service."""
        client = self._clients.get(service)
        if client is None:
            # Sessions are not safe to use from several threads at once; clients are.
            with self._lock:
                client = self._clients.get(service)
                if client is None:
                    client = _client(self.session, service, self.region, self.emulator)
                    # botocore creates these classes at the first access, without a lock: two threads could get two
                    # classes of the same name, and an `except` with one would miss the other.
                    client.exceptions  # noqa: B018 - the access creates them
                    self._clients[service] = client
        return client

    def make_clients(self, services: Iterable[str]) -> None:
        """Create the clients in the background, in this order. Each takes tens of milliseconds."""
        pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="iotpipe-clients")
        for service in services:
            pool.submit(self.client, service)
        pool.shutdown(wait=False)

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource in this account and region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    def role_arn(self, name: str) -> str:
        return f"arn:{self.partition}:iam::{self.account}:role/{name}"

    @property
    def partition(self) -> str:
        return partition(self.region)

    def host(self, prefix: str) -> str:
        """Return the host name of a service's endpoint in this region."""
        return host(prefix, self.region)


def partition(region: str) -> str:
    """Return the partition of a region: aws, aws-cn, aws-us-gov or aws-eusc."""
    return _PARTITIONS.get(region.rsplit("-", 2)[0], "aws")


def host(prefix: str, region: str) -> str:
    """Return the host name of a service's endpoint in the region."""
    domain = {"aws-cn": "amazonaws.com.cn", "aws-eusc": "amazonaws.eu"}.get(partition(region), "amazonaws.com")
    return f"{prefix}.{region}.{domain}"


def user_emulator_endpoint() -> str:
    """Return AWS_ENDPOINT_URL if it points to this machine, else an empty text."""
    address = os.environ.get("AWS_ENDPOINT_URL", "")
    try:
        return address if urlsplit(address).hostname in _LOOPBACK else ""
    except ValueError as error:
        raise CredentialsError(f"AWS_ENDPOINT_URL is not a valid URL: {error}", "Correct or unset it") from error


def connect(
    profile: str | None,
    region: str | None,
    account: str | None,
    emulator: Emulator | None = None,
    services: Iterable[str] = (),
) -> Aws:
    """Look up the account of the credentials; `account` is the one that the configuration expects.

    With an `emulator`, every request goes to the emulator. The clients of `services` are created in the background.

    Raises CredentialsError if there are no credentials, if AWS does not accept them, or if they belong to another
    account; also if an endpoint URL is invalid, or if `services` have different endpoints. Raises UsageError if no
    region is set, or if the region's name is invalid.
    """
    region_name = region or os.environ.get("AWS_REGION")
    try:
        session = _session(profile, emulator, tuple(services))
        # boto3 only reads AWS_DEFAULT_REGION; the other SDKs read AWS_REGION.
        region_name = region_name or session.region_name
        if not region_name:
            raise UsageError("no region is set", "Set `region` in the configuration, AWS_REGION or --region")
        sts = _client(session, "sts", region_name, emulator, _IDENTITY_CONFIG)
        emulated = urlsplit(sts.meta.endpoint_url).hostname in _LOOPBACK
        aws = Aws(session, "", region_name, "", eventually_consistent=not emulated, emulator=emulator)
        aws.make_clients(services)
        identity = sts.get_caller_identity()
    except CALL_ERRORS as error:
        raise _connection_error(error, region_name or "") from error
    except EOFError as error:
        hint = "Use credentials that it was typed for, as `aws sts get-session-token` gives them"
        raise CredentialsError("the profile wants an MFA code, and there is no terminal to enter it", hint) from error
    except (OSError, ValueError) as error:
        # botocore does not wrap errors from a credential process, a token file or an invalid URL.
        raise CredentialsError(f"the AWS settings are invalid: {error}", _SETTINGS_HINT) from error
    if account and identity["Account"] != account:
        raise CredentialsError(
            f"the credentials belong to account {identity['Account']}, the configuration names {account}",
            "Choose other credentials with AWS_PROFILE or --profile; nothing was changed",
        )
    return replace(aws, account=identity["Account"], caller=identity["Arn"])


def _session(profile: str | None, emulator: Emulator | None, services: Sequence[str]) -> boto3.Session:
    no_profile = {"profile": (None, None, None, None), "config_file": (None, None, os.devnull, None)}
    # An emulator with its own keys needs no profile: botocore would fail if AWS_PROFILE names one that does not exist.
    own_keys = emulator is not None and emulator.access_key
    core = botocore.session.Session(
        session_vars=no_profile if own_keys else None, profile=None if own_keys else profile
    )
    # Register before any client exists: botocore creates clients of its own to get a profile's credentials.
    check_responses(core.get_component("event_emitter"))
    retry_throttled_calls(core.get_component("event_emitter"))
    if emulator is None:
        endpoints.check_endpoints(core, (*services, *endpoints.EXTRA_SERVICES) if services else ())
    if emulator is None or not own_keys:
        return boto3.Session(botocore_session=core)
    return boto3.Session(
        aws_access_key_id=emulator.access_key, aws_secret_access_key=emulator.secret_key, botocore_session=core
    )


def _client(
    session: boto3.Session, service: str, region: str, emulator: Emulator | None, config: Config = _CONFIG
) -> Any:
    endpoint = None
    if emulator is not None:
        # A local emulator is reached without a proxy, and FIPS and dual-stack endpoints exist only on AWS.
        config = config.merge(Config(proxies={}, use_fips_endpoint=False, use_dualstack_endpoint=False))
        endpoint = emulator.endpoint
    try:
        return session.client(service, region_name=region, config=config, endpoint_url=endpoint)
    except exceptions.InvalidRegionError as error:
        raise UsageError(f"{region} is not a valid region", error_advice.region_to_correct(region)) from error
    except ValueError as error:
        raise CredentialsError(f"the AWS settings are invalid: {error}", _SETTINGS_HINT) from error


def _connection_error(error: CallError, region: str) -> IotpipeError:
    is_response = isinstance(error, exceptions.ClientError)
    reason = error_advice.describe(error) if is_response else error_advice.message_of(error)
    if isinstance(error, exceptions.ProfileNotFound):
        return CredentialsError(f"{error}", "`aws configure list-profiles` lists the existing ones")
    if isinstance(error, exceptions.NoCredentialsError):
        return CredentialsError("there are no AWS credentials", _LOGIN_HINT)
    if error_advice.is_clock_skew(error):
        return CredentialsError(error_advice.clock_skew(error, time.time()), "Set the clock; nothing was changed")
    if error_advice.is_credentials_error(error):
        what = "AWS does not accept the credentials" if is_response else "the AWS credentials cannot be used"
        return CredentialsError(f"{what}: {reason}", error_advice.with_region_hint(_LOGIN_HINT, error, region))
    if isinstance(error, exceptions.ClientError):
        hint = error_advice.identity_hint(error, region) or _LOGIN_HINT
        return CredentialsError(f"cannot determine the account of the credentials: {reason}", hint)
    if rule_for(error):
        hint = f"{error_advice.network_hint(error, region)}; nothing was changed"
        return CredentialsError(f"AWS is unreachable: {reason}", hint)
    return CredentialsError(f"the AWS settings are invalid: {reason}", _SETTINGS_HINT)
