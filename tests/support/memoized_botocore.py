"""What botocore works out anew for every session or call although it stays the same: worked out once.

Nothing is answered differently.
"""

from __future__ import annotations

import functools
import weakref
from typing import Any

import botocore.parsers
import botocore.session
import botocore.useragent
from botocore.context import get_context
from botocore.errorfactory import ClientExceptionsFactory
from botocore.hooks import EventAliaser
from botocore.model import ServiceModel
from botocore.useragent import UserAgentString

_exceptions_of: Any = ClientExceptionsFactory.create_client_exceptions
_exceptions: dict[str, Any] = {}
_user_agent: Any = UserAgentString.to_string
_user_agents: weakref.WeakKeyDictionary[UserAgentString, dict[Any, str]] = weakref.WeakKeyDictionary()
_alias: Any = EventAliaser._alias_event_name
_aliases: dict[str, str] = {}


def be_quick() -> None:
    """Let this process remember it."""
    # Every session would read and parse the models of its services again, 0.2 s for the ten that a pipeline needs.
    botocore.session.create_loader = functools.cache(botocore.session.create_loader)
    sanitize = botocore.useragent.sanitize_user_agent_string_component
    botocore.useragent.sanitize_user_agent_string_component = functools.cache(sanitize)
    botocore.parsers.DEFAULT_TIMESTAMP_PARSER = functools.lru_cache(4096)(botocore.parsers.DEFAULT_TIMESTAMP_PARSER)
    ClientExceptionsFactory.create_client_exceptions = _exceptions_once
    UserAgentString.to_string = _user_agent_once
    EventAliaser._alias_event_name = _alias_once


def _exceptions_once(factory: ClientExceptionsFactory, model: ServiceModel) -> Any:
    """The exceptions of a service's clients."""
    if model.service_name not in _exceptions:
        _exceptions[model.service_name] = _exceptions_of(factory, model)
    return _exceptions[model.service_name]


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
