"""Where the user's settings send each service's calls, and that it is one place for all of them.

The credentials are checked by asking STS. What STS says holds for the other services only if they are asked at the
same place, and AWS_ENDPOINT_URL_STS and its like can send each service to another one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

import botocore.session
from botocore.utils import is_valid_endpoint_url

from iotpipe.errors import CredentialsError

ALSO_ASKED = ("resourcegroupstaggingapi", "kms", "wafv2")
"""Services that iotpipe calls though no kind of resource belongs to them."""

AWS = "AWS"

# One place, whatever the host: there the credentials decide which account is meant. VPC endpoints are among them.
_DOMAINS = (
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "api.aws",
    "api.amazonwebservices.com.cn",
    "api.amazonwebservices.eu",
)

_IN_SETTINGS = {
    "apigateway": "api_gateway",
    "logs": "cloudwatch_logs",
    "resourcegroupstaggingapi": "resource_groups_tagging_api",
}
"""How services are called in settings where boto3 calls them otherwise."""

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Endpoint:
    """Where a service is asked, and the setting that says so; both are empty if none does."""

    url: str = ""
    setting: str = ""

    @property
    def place(self) -> str:
        """AWS, or the scheme, host and port of what is none of its hosts."""
        parts = urlsplit(self.url)
        host = (parts.hostname or "").rstrip(".")
        if not self.url or f".{host}".endswith(tuple(f".{each}" for each in _DOMAINS)):
            return AWS
        return f"{parts.scheme}://{host}:{parts.port or _PORTS.get(parts.scheme, 0)}"

    def __str__(self) -> str:
        where = self.url or AWS
        return f"{where} ({self.setting})" if self.setting else where


def configured(session: botocore.session.Session, service: str) -> Endpoint:
    """What botocore will find in the settings for this service, in its order."""
    if session.get_config_variable("ignore_configured_endpoint_urls"):
        return Endpoint()
    name, profile = _IN_SETTINGS.get(service, service), session.get_scoped_config()
    section = profile.get("services", "")
    of_service = session.full_config.get("services", {}).get(section, {}).get(name, {})
    variables = (f"AWS_ENDPOINT_URL_{name.upper()}", "AWS_ENDPOINT_URL")
    found = (
        *((os.environ.get(variable), variable) for variable in variables),
        (of_service.get("endpoint_url"), f"{name}.endpoint_url in [services {section}]"),
        (profile.get("endpoint_url"), "the profile's endpoint_url"),
    )
    return next((Endpoint(url, setting) for url, setting in found if url), Endpoint())


def check_endpoints(session: botocore.session.Session, services: Iterable[str]) -> None:
    """Raise CredentialsError where an address is none, or where a service is not asked where STS is."""
    endpoints = {service: configured(session, service) for service in ("sts", *services)}
    for endpoint in endpoints.values():
        if endpoint.url and not is_valid_endpoint_url(endpoint.url):
            raise CredentialsError(
                f"the AWS settings are invalid: Invalid endpoint: {endpoint.url}",
                f"Correct {endpoint.setting}, or remove it; nothing was sent",
            )
    apart = [service for service in endpoints if endpoints[service].place != endpoints["sts"].place]
    if apart:
        raise _several(endpoints, apart)


def _several(endpoints: dict[str, Endpoint], apart: list[str]) -> CredentialsError:
    where: dict[str, list[str]] = {}
    for service in apart:
        where.setdefault(str(endpoints[service]), []).append(service)
    others = "; ".join(f"{', '.join(names)} at {place}" for place, names in where.items())
    settings = dict.fromkeys(endpoints[each].setting for each in ("sts", *apart) if endpoints[each].setting)
    return CredentialsError(
        f"the services have different endpoints: sts at {endpoints['sts']}; {others}",
        "sts tells whose account it is, for all of them: "
        f"have {' and '.join(settings)} point to one place or remove it; nothing was sent",
    )
