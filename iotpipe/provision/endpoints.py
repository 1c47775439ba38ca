"""Endpoint settings: checks that all services have the same endpoint.

iotpipe asks STS which account the credentials belong to. The reply holds for the other services only if they are
reached at the same endpoint. Settings such as AWS_ENDPOINT_URL_STS can send a single service elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

import botocore.session
from botocore.utils import is_valid_endpoint_url

from iotpipe.errors import CredentialsError

EXTRA_SERVICES = ("resourcegroupstaggingapi", "kms", "wafv2", "iot-data")
"""Services that iotpipe calls although no resource kind belongs to them."""

AWS = "AWS"

# Hosts in these domains, VPC endpoints included, are AWS: the credentials decide which account is used.
_DOMAINS = (
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "api.aws",
    "api.amazonwebservices.com.cn",
    "api.amazonwebservices.eu",
)

_SETTING_NAMES = {
    "apigateway": "api_gateway",
    "iot-data": "iot_data_plane",
    "logs": "cloudwatch_logs",
    "resourcegroupstaggingapi": "resource_groups_tagging_api",
}
"""Names of services in AWS's settings, where they differ from boto3's."""

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Endpoint:
    """A service's endpoint URL and the setting that defines it; both are empty if no setting does."""

    url: str = ""
    setting: str = ""

    @property
    def origin(self) -> str:
        """ "AWS" for every host of AWS, else the URL's scheme, host and port."""
        parts = urlsplit(self.url)
        host = (parts.hostname or "").rstrip(".")
        if not self.url or f".{host}".endswith(tuple(f".{each}" for each in _DOMAINS)):
            return AWS
        return f"{parts.scheme}://{host}:{parts.port or _PORTS.get(parts.scheme, 0)}"

    def __str__(self) -> str:
        where = self.url or AWS
        return f"{where} ({self.setting})" if self.setting else where


def configured(session: botocore.session.Session, service: str) -> Endpoint:
    """Return the endpoint that botocore will take from the settings, in botocore's order of precedence."""
    if session.get_config_variable("ignore_configured_endpoint_urls"):
        return Endpoint()
    name, profile = _SETTING_NAMES.get(service, service), session.get_scoped_config()
    section = profile.get("services", "")
    of_service = session.full_config.get("services", {}).get(section, {}).get(name, {})
    variables = (f"AWS_ENDPOINT_URL_{name.upper()}", "AWS_ENDPOINT_URL")
    candidates = (
        *((os.environ.get(variable), variable) for variable in variables),
        (of_service.get("endpoint_url"), f"{name}.endpoint_url in [services {section}]"),
        (profile.get("endpoint_url"), "the profile's endpoint_url"),
    )
    return next((Endpoint(url, setting) for url, setting in candidates if url), Endpoint())


def check_endpoints(session: botocore.session.Session, services: Iterable[str]) -> None:
    """Raise CredentialsError if an endpoint URL is invalid, or if a service has another endpoint than STS."""
    endpoints = {service: configured(session, service) for service in ("sts", *services)}
    for endpoint in endpoints.values():
        if endpoint.url and not is_valid_endpoint_url(endpoint.url):
            raise CredentialsError(
                f"the AWS settings are invalid: Invalid endpoint: {endpoint.url}",
                f"Correct {endpoint.setting}, or remove it; nothing was sent",
            )
    differing = [service for service in endpoints if endpoints[service].origin != endpoints["sts"].origin]
    if differing:
        raise _different_endpoints(endpoints, differing)


def _different_endpoints(endpoints: dict[str, Endpoint], differing: list[str]) -> CredentialsError:
    by_endpoint: dict[str, list[str]] = {}
    for service in differing:
        by_endpoint.setdefault(str(endpoints[service]), []).append(service)
    others = "; ".join(f"{', '.join(names)} at {endpoint}" for endpoint, names in by_endpoint.items())
    settings = dict.fromkeys(endpoints[each].setting for each in ("sts", *differing) if endpoints[each].setting)
    return CredentialsError(
        f"the services have different endpoints: sts at {endpoints['sts']}; {others}",
        "sts tells whose account it is, for all of them: "
        f"have {' and '.join(settings)} point to one place or remove it; nothing was sent",
    )
