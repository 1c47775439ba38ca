"""One AWS account and region: who we are there, clients made once and shared, and names as ARNs."""

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
from iotpipe.provision.response_check import check_answers
from iotpipe.provision.retry_rules import FAILED, Failure, rule_for
from iotpipe.provision.throttling import repeat_calls

_LOGIN = "Run `aws sso login` or `aws configure`, or set AWS_PROFILE; `--env local` needs no AWS account"
_LOOK = "Look at AWS_ENDPOINT_URL and its like, and at what the profile refers to; nothing was changed"

# Trying again is decided per resource, after reading what AWS has (see retries): botocore's own second try of a
# CreateRestApi whose answer was lost would make a second API.
_CONFIG = Config(
    retries={"total_max_attempts": 1},
    max_pool_connections=64,
    connect_timeout=10,
    read_timeout=70,
    user_agent_extra="iotpipe",
)
# Asking who we are changes nothing: that may botocore ask again by itself.
_ASKING = _CONFIG.merge(Config(retries={"mode": "standard", "total_max_attempts": 3}))

_PARTITIONS = {"cn": "aws-cn", "us-gov": "aws-us-gov", "eusc-de": "aws-eusc"}
"""By what their regions' names begin with; all others are in `aws`."""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Emulator:
    """What answers on this machine instead of AWS: every client goes there, whatever the user's settings say.

    Without keys of its own it takes the user's credentials.
    """

    endpoint: str
    access_key: str = ""
    secret_key: str = ""


@dataclass(eq=False)
class Aws:
    """An account and region as one command sees them. Clients are safe to share between threads."""

    session: boto3.Session
    account: str
    region: str
    caller: str
    keeps_names_back: bool = True
    """AWS does for a while after a deletion, and is slow to spread what is new; an emulator of it is neither."""
    emulator: Emulator | None = None
    _clients: dict[str, Any] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def client(self, service: str) -> Any:
        """The one boto3 client of this service."""
        client = self._clients.get(service)
        if client is None:
            # Sessions are not safe to use from several threads at once; clients are.
            with self._lock:
                client = self._clients.get(service)
                if client is None:
                    client = _client(self.session, service, self.region, self.emulator)
                    self._clients[service] = client
        return client

    def make_clients(self, services: Iterable[str]) -> None:
        """Make them in the background, in this order: each costs tens of milliseconds that no call need wait for."""
        pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="iotpipe-clients")
        for service in services:
            pool.submit(self.client, service)
        pool.shutdown(wait=False)

    def arn(self, service: str, resource: str) -> str:
        """The ARN of something in this account and region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    def role_arn(self, name: str) -> str:
        return f"arn:{self.partition}:iam::{self.account}:role/{name}"

    @property
    def partition(self) -> str:
        return partition(self.region)

    def host(self, prefix: str) -> str:
        """A host name of a service's endpoint in this region."""
        return host(prefix, self.region)


def partition(region: str) -> str:
    """The partition that a region belongs to: aws, aws-cn, aws-us-gov or aws-eusc."""
    return _PARTITIONS.get(region.rsplit("-", 2)[0], "aws")


def host(prefix: str, region: str) -> str:
    """A host name of a service's endpoint in the region."""
    domain = {"aws-cn": "amazonaws.com.cn", "aws-eusc": "amazonaws.eu"}.get(partition(region), "amazonaws.com")
    return f"{prefix}.{region}.{domain}"


def emulator_of_the_user() -> str:
    """The address on this machine that the user has set AWS_ENDPOINT_URL to; empty if it is none."""
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
    """Find out who the credentials belong to; `account` is the one that the configuration expects.

    With an `emulator` nothing is ever sent anywhere else. The clients of `services` are made meanwhile. Raises
    CredentialsError where there are no credentials, where they are of no use, or where they are another account's,
    and where an address that the user has set is none or leads one of `services` to another place than the rest;
    UsageError where no region is named anywhere, or one that is none.
    """
    found = region or os.environ.get("AWS_REGION")
    try:
        session = _session(profile, emulator, tuple(services))
        # boto3 itself only knows AWS_DEFAULT_REGION; the other SDKs and users say AWS_REGION.
        found = found or session.region_name
        if not found:
            raise UsageError("no region is set", "Set `region` in the configuration, AWS_REGION or --region")
        sts = _client(session, "sts", found, emulator, _ASKING)
        emulated = urlsplit(sts.meta.endpoint_url).hostname in _LOOPBACK
        aws = Aws(session, "", found, "", keeps_names_back=not emulated, emulator=emulator)
        aws.make_clients(services)
        identity = sts.get_caller_identity()
    except FAILED as error:
        raise _explained(error, found or "") from error
    except EOFError as error:
        hint = "Use credentials that it was typed for, as `aws sts get-session-token` gives them"
        raise CredentialsError("the profile wants an MFA code, and there is no terminal to enter it", hint) from error
    except (OSError, ValueError) as error:
        # botocore lets through what a profile's credential process or token file, or an address of the user's, raises.
        raise CredentialsError(f"the AWS settings are invalid: {error}", _LOOK) from error
    if account and identity["Account"] != account:
        raise CredentialsError(
            f"the credentials belong to account {identity['Account']}, the configuration names {account}",
            "Choose other credentials with AWS_PROFILE or --profile; nothing was changed",
        )
    return replace(aws, account=identity["Account"], caller=identity["Arn"])


def _session(profile: str | None, emulator: Emulator | None, services: Sequence[str]) -> boto3.Session:
    none = {"profile": (None, None, None, None), "config_file": (None, None, os.devnull, None)}
    # A profile that AWS_PROFILE names but nobody has written would stop botocore, though nothing is wanted of it.
    own_keys = emulator is not None and emulator.access_key
    core = botocore.session.Session(session_vars=none if own_keys else None, profile=None if own_keys else profile)
    # Before any client is made: also those with which botocore gets a profile's credentials.
    check_answers(core.get_component("event_emitter"))
    repeat_calls(core.get_component("event_emitter"))
    if emulator is None:
        endpoints.check_endpoints(core, (*services, *endpoints.ALSO_ASKED) if services else ())
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
        # No proxy stands between this machine and itself, and FIPS and dual-stack names are AWS's own.
        config = config.merge(Config(proxies={}, use_fips_endpoint=False, use_dualstack_endpoint=False))
        endpoint = emulator.endpoint
    try:
        return session.client(service, region_name=region, config=config, endpoint_url=endpoint)
    except exceptions.InvalidRegionError as error:
        raise UsageError(f"{region} is not a valid region", error_advice.region_to_correct(region)) from error
    except ValueError as error:
        raise CredentialsError(f"the AWS settings are invalid: {error}", _LOOK) from error


def _explained(error: Failure, region: str) -> IotpipeError:
    told = error_advice.told(error) if isinstance(error, exceptions.ClientError) else error_advice.message_of(error)
    if isinstance(error, exceptions.ProfileNotFound):
        return CredentialsError(f"{error}", "`aws configure list-profiles` lists the existing ones")
    if isinstance(error, exceptions.NoCredentialsError):
        return CredentialsError("there are no AWS credentials", _LOGIN)
    if error_advice.skewed(error):
        return CredentialsError(error_advice.clock_refused(error, time.time()), "Set the clock; nothing was changed")
    if error_advice.is_credentials_error(error):
        refused = isinstance(error, exceptions.ClientError)
        what = "AWS does not accept the credentials" if refused else "the AWS credentials cannot be used"
        return CredentialsError(f"{what}: {told}", error_advice.also_enable(_LOGIN, error, region))
    if isinstance(error, exceptions.ClientError):
        hint = error_advice.identity_hint(error, region) or _LOGIN
        return CredentialsError(f"cannot determine the account of the credentials: {told}", hint)
    if rule_for(error):
        hint = f"{error_advice.network_hint(error, region)}; nothing was changed"
        return CredentialsError(f"AWS is unreachable: {told}", hint)
    return CredentialsError(f"the AWS settings are invalid: {told}", _LOOK)
