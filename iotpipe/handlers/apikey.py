"""Checks the X-Api-Key header against the SecureString parameter that API_KEY_PARAM names."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os

from iotpipe.handlers import clock, parameters
from iotpipe.handlers.web import Refused, Request, Unavailable, detail

logger = logging.getLogger(__name__)

# How long a cached key is accepted while SSM cannot be read, in milliseconds.
_MAX_UNCONFIRMED_AGE = 3_600_000


def check(request: Request, budget: clock.Budget) -> None:
    """Raise Refused (401) for a wrong or missing key, and Unavailable while the valid keys cannot be read."""
    name, offered = os.environ["API_KEY_PARAM"], _digest(request.headers.get("x-api-key", ""))
    # A key that does not match may have just replaced the cached one.
    if not (_matches(offered, parameters.read(name, budget)) or _matches(offered, parameters.read_fresh(name, budget))):
        raise Refused(401, "unauthorized", [detail("X-Api-Key", "key", "missing or wrong")])


def _matches(offered: bytes, parameter: parameters.Parameter) -> bool:
    if parameter.text is None or clock.now() - parameter.read_at > _MAX_UNCONFIRMED_AGE:
        raise Unavailable("the API key cannot be read")
    keys = _keys(parameter.text)
    if not any(key.isprintable() for key in keys):
        name = os.environ["API_KEY_PARAM"]
        logger.error("the parameter %s has no key that a header can carry: every request is refused", name)
    # Comparing the hashes of all keys takes the same time for any offered key, so the time reveals nothing about them.
    return any([hmac.compare_digest(offered, _digest(key)) for key in keys])


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogatepass")).digest()


def _keys(text: str) -> list[str]:
    """Return the valid keys: the parameter's text, or its JSON list while a key is rotated.

    Strips white space: `echo` adds a line end to a stored key, and no header can carry one.
    """
    try:
        keys = json.loads(text) if text.lstrip().startswith("[") else [text]
    except (ValueError, RecursionError):
        keys = [text]
    return [key.strip() for key in keys if isinstance(key, str) and key.strip()]
