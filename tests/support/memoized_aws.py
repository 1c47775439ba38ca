"""What botocore and moto work out anew for every session or call although it stays the same: worked out once.

Nothing is answered differently: only the request ids are drawn in another way, and requests to moto are not signed.
"""

from __future__ import annotations

import functools
import gc
import time
import uuid
import weakref
from collections.abc import Iterator
from typing import Any

import botocore.session
import botocore.useragent
from botocore.auth import SigV4Auth
from botocore.context import get_context
from botocore.hooks import EventAliaser
from botocore.useragent import UserAgentString
from moto import backend_index
from moto.core import responses, serialize
from moto.core.base_backend import BaseBackend
from moto.sqs import models as sqs

_urls_of: Any = BaseBackend.urls.fget  # type: ignore[attr-defined] # a property, whatever mypy takes it for
_urls: dict[type[BaseBackend], Any] = {}
_canonical_request: Any = SigV4Auth.canonical_request
_possible_keys: Any = serialize.XFormedAttributePicker.get_possible_keys
_keys: dict[Any, tuple[str, ...]] = {}
_user_agent: Any = UserAgentString.to_string
_user_agents: weakref.WeakKeyDictionary[UserAgentString, dict[Any, str]] = weakref.WeakKeyDictionary()
_alias: Any = EventAliaser._alias_event_name
_aliases: dict[str, str] = {}

_SERVICES = frozenset(
    {"apigateway", "cloudwatch", "dynamodb", "iam", "iot", "lambda", "logs", "resourcegroupstaggingapi"}
) | {*("sns", "sqs", "ssm", "sts")}


def be_quick() -> None:
    """Let this process remember it."""
    # Every session would read and parse the models of its services again, 0.2 s for the ten that a pipeline needs.
    botocore.session.create_loader = functools.cache(botocore.session.create_loader)
    sanitize = botocore.useragent.sanitize_user_agent_string_component
    botocore.useragent.sanitize_user_agent_string_component = functools.cache(sanitize)
    BaseBackend.urls = property(_urls_once)
    # Every request is compared with the addresses of all services, and those of a pipeline come late among them.
    backend_index.backend_url_patterns.sort(key=lambda service: service[0] not in _SERVICES)
    responses.gen_amzn_requestid_long = _request_id
    SigV4Auth.canonical_request = _canonical_request_elsewhere
    serialize.XFormedAttributePicker.get_possible_keys = _possible_keys_once
    responses.camelcase_to_underscores = functools.cache(responses.camelcase_to_underscores)
    # A queue asks what time it is for every message that it holds, and moto answers by way of three datetimes.
    sqs.unix_time, sqs.unix_time_millis = time.time, lambda: time.time() * 1000.0
    UserAgentString.to_string = _user_agent_once
    EventAliaser._alias_event_name = _alias_once


def collect_seldom() -> None:
    """Go through all modules and service models no more when garbage is collected, and collect it seldom.

    Otherwise up to half of the time of a test goes there. To be called when all of them are loaded.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def _urls_once(backend: BaseBackend) -> Any:
    """The addresses that a service answers at."""
    kind = type(backend)
    if kind not in _urls:
        _urls[kind] = _urls_of(backend)
    return _urls[kind]


def _request_id(headers: dict[str, Any]) -> str:
    """Drawn at once, where moto draws 52 letters."""
    headers["x-amzn-requestid"] = uuid.uuid4().hex
    return str(headers["x-amzn-requestid"])


def _canonical_request_elsewhere(signer: SigV4Auth, request: Any) -> str:
    """What is signed; nothing for the emulated AWS, which reads of the signature only who made it and where."""
    return "" if ".amazonaws.com" in request.url else str(_canonical_request(signer, request))


def _possible_keys_once(picker: Any, context: Any) -> Iterator[str]:
    """The names under which an object may hold a member of an answer."""
    known = (context.key, context.shape, type(context.obj))
    if known not in _keys:
        _keys[known] = tuple(_possible_keys(picker, context))
    return iter(_keys[known])


def _user_agent_once(agent: UserAgentString) -> str:
    """How a client presents itself while it uses these features."""
    context = get_context()
    features = frozenset(context.features if context else ()), frozenset(agent._client_features or ())
    known = _user_agents.setdefault(agent, {})
    if features not in known:
        known[features] = _user_agent(agent)
    return known[features]


def _alias_once(aliaser: EventAliaser, name: str) -> str:
    """The name of an event with today's name of its service."""
    if name not in _aliases:
        _aliases[name] = _alias(aliaser, name)
    return _aliases[name]
