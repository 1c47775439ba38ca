"""The check of the X-Api-Key header against the SecureString API_KEY_PARAM."""

from __future__ import annotations

import hashlib
import hmac
import json
import os

from iotpipe.handlers import clock, parameters
from iotpipe.handlers.web import Refused, Request, Unavailable, detail

# How long a key is trusted that SSM no longer confirms, in milliseconds.
_LONGEST_UNCONFIRMED = 3_600_000


def check(request: Request, budget: clock.Budget) -> None:
    """Raises Refused (401) for a wrong or missing key, Unavailable while the right one cannot be known."""
    parameter = parameters.read(os.environ["API_KEY_PARAM"], budget)
    if parameter.text is None or clock.now() - parameter.read_at > _LONGEST_UNCONFIRMED:
        raise Unavailable("the API key cannot be read")
    offered = _digest(request.headers.get("x-api-key", ""))
    # Every key is compared, and its hash rather than the key: the time taken says nothing about any of them.
    matches = [hmac.compare_digest(offered, _digest(key)) for key in _keys(parameter.text)]
    if not any(matches):
        raise Refused(401, "unauthorized", [detail("X-Api-Key", "key", "missing or wrong")])


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogatepass")).digest()


def _keys(text: str) -> list[str]:
    """The key as it stands, or a JSON list of all that hold while they are being rotated."""
    try:
        listed = json.loads(text) if text.lstrip().startswith("[") else [text]
    except (ValueError, RecursionError):
        listed = [text]
    return [key for key in listed if isinstance(key, str) and key]
