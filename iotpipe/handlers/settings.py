"""The environment's configuration and API keys from SSM, cached for about five minutes."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
from dataclasses import dataclass, fields
from typing import Any

from iotpipe.handlers import aws, clock

logger = logging.getLogger(__name__)

_TTL, _RETRY, _KEY_LIFE = 300_000, 30_000, 3_600_000


@dataclass(frozen=True)
class Settings:
    """What CONFIG_PARAM may say; each with the value it has when the parameter does not say it."""

    batch_size: int = 100  # readings stored and queued before the remaining time is looked at again
    processing_timeout: int = 60  # seconds one invocation may spend
    max_readings: int = 500  # most readings in one POST
    alert_threshold: int = 5  # more failures than this in one batch raise an alert
    alert_cooldown: int = 900  # seconds between two alerts of one worker
    past_days: int = 365  # how old a reading's timestamp may be
    future_minutes: int = 10  # how far ahead of us a device's clock may be
    require_api_key: bool = False


_RANGES = {
    "batch_size": (1, 500),
    "processing_timeout": (1, 900),
    "max_readings": (1, 500),
    "alert_threshold": (0, 10_000),
    "alert_cooldown": (0, 604_800),
    "past_days": (0, 36_500),
    "future_minutes": (0, 525_600),
}


@dataclass(frozen=True)
class _Entry:
    text: str | None
    read_at: int
    due_at: int


_entries: dict[str, _Entry] = {}
_settings: dict[str, Settings] = {}


def environment() -> str:
    """The environment's name, from /iot-pipeline/<name>/config."""
    parts = os.environ.get("CONFIG_PARAM", "").split("/")
    return parts[2] if len(parts) > 3 else "unknown"


def load() -> Settings:
    """The configuration as last read; what is missing, damaged or out of range has its default."""
    name = os.environ.get("CONFIG_PARAM", "")
    known = _entries.get(name)
    entry = _parameter(name, decrypt=False)
    if entry is not known or name not in _settings:
        if entry.text is not None:
            _settings[name] = _understand(entry.text)
        else:
            _settings.setdefault(name, Settings())
    return _settings[name]


def _parameter(name: str, decrypt: bool) -> _Entry:
    now = clock.now()
    entry = _entries.get(name) or _Entry(None, 0, 0)
    if now < entry.due_at:
        return entry
    try:
        answer = aws.client("ssm").get_parameter(Name=name, WithDecryption=decrypt)
        # Spread over a tenth either way, so that all workers do not ask in the same second.
        due = now + int(_TTL * (0.9 + 0.2 * clock.chance()))
        entry = _Entry(answer["Parameter"]["Value"], now, due)
    except aws.FAILED as error:
        logger.warning("cannot read the parameter %s: %s. What was known before is used", name, error)
        entry = _Entry(entry.text, entry.read_at, now + _RETRY)
    _entries[name] = entry
    return entry


def _understand(text: str) -> Settings:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        logger.warning("the configuration parameter is not a JSON object; the defaults are used")
        return Settings()
    known = {field.name: document[field.name] for field in fields(Settings) if field.name in document}
    bad = sorted(name for name, value in known.items() if not _acceptable(name, value))
    if bad:
        logger.warning("the configuration's %s cannot be used; the defaults are", ", ".join(bad))
    return Settings(**{name: value for name, value in known.items() if name not in bad})


def _acceptable(name: str, value: Any) -> bool:
    if name not in _RANGES:
        return isinstance(value, bool)
    low, high = _RANGES[name]
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def key_is_good(offered: str) -> bool | None:
    """Whether `offered` is an API key; None while no key is known, or none younger than an hour."""
    entry = _parameter(os.environ["API_KEY_PARAM"], decrypt=True)
    if entry.text is None or clock.now() - entry.read_at > _KEY_LIFE:
        return None
    digest = hashlib.sha256(offered.encode(errors="replace")).digest()
    # No short cut on the first match: the time taken says nothing about which key matched.
    matches = [
        hmac.compare_digest(digest, hashlib.sha256(key.encode()).digest()) for key in _keys(entry.text)
    ]
    return any(matches)


def _keys(text: str) -> list[str]:
    """One key as it stands, or a JSON list of them while they are being rotated."""
    if text.lstrip().startswith("["):
        try:
            listed = json.loads(text)
        except (ValueError, RecursionError):
            return [text]
        return [key for key in listed if isinstance(key, str) and key]
    return [text] if text else []
