"""What botocore and moto work out anew for every session or call although it stays the same: worked out once.

Nothing is answered differently: only the request ids are drawn in another way.
"""

from __future__ import annotations

import functools
import gc
import uuid
from typing import Any

import botocore.session
import botocore.useragent
from moto.core import responses
from moto.core.base_backend import BaseBackend

_urls_of: Any = BaseBackend.urls.fget  # type: ignore[attr-defined] # a property, whatever mypy takes it for
_urls: dict[type[BaseBackend], Any] = {}


def be_quick() -> None:
    """Let this process remember it."""
    # Every session would read and parse the models of its services again, 0.2 s for the ten that a pipeline needs.
    botocore.session.create_loader = functools.cache(botocore.session.create_loader)
    sanitize = botocore.useragent.sanitize_user_agent_string_component
    botocore.useragent.sanitize_user_agent_string_component = functools.cache(sanitize)
    BaseBackend.urls = property(_urls_once)
    responses.gen_amzn_requestid_long = _request_id


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
