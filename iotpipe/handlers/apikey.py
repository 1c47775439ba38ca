"""The check of the X-Api-Key header against the SecureString API_KEY_PARAM."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os

from iotpipe.handlers import clock, parameters
from iotpipe.handlers.web import Refused, Request, Unavailable, detail

logger = logging.getLogger(__name__)

# How long a key is trusted that SSM no longer confirms, in milliseconds.
_LONGEST_UNCONFIRMED = 3_600_000


def check(request: Request, budget: clock.Budget) -> None:
    """Raises Refused (401) for a wrong or missing key, Unavailable while the right one cannot be known."""
    name, offered = os.environ["API_KEY_PARAM"], _digest(request.headers.get("x-api-key", ""))
    # A key that does not match may be the one that has just replaced the known one.
    if not (_matches(offered, parameters.read(name, budget)) or _matches(offered, parameters.read_again(name, budget))):
        raise Refused(401, "unauthorized", [detail("X-Api-Key", "key", "missing or wrong")])


def _matches(offered: bytes, parameter: parameters.Parameter) -> bool:
    if parameter.text is None or clock.now() - parameter.read_at > _LONGEST_UNCONFIRMED:
        raise Unavailable("the API key cannot be read")
    keys = _keys(parameter.text)
    if not any(key.isprintable() for key in keys):
        logger.error("the parameter %s has no key that a header can carry: nobody gets in", os.environ["API_KEY_PARAM"])
    # Every key is compared, and its hash rather than the key: the time taken says nothing about any of them.
    return any([hmac.compare_digest(offered, _digest(key)) for key in keys])


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogatepass")).digest()


def _keys(text: str) -> list[str]:
    """The key as it stands, or a JSON list of all that hold while they are being rotated.

    Without blanks and line ends around it: whoever stores a key with `echo` adds one, and no header can carry it.
    """
    try:
        listed = json.loads(text) if text.lstrip().startswith("[") else [text]
    except (ValueError, RecursionError):
        listed = [text]
    return [key.strip() for key in listed if isinstance(key, str) and key.strip()]
