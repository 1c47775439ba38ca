"""The environment's configuration from SSM, cached for about five minutes."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass, fields, replace
from typing import Any

from iotpipe.handlers import parameters
from iotpipe.handlers.clock import Budget
from iotpipe.handlers.processing_settings import WHOLE_NUMBERS, ProcessingSettings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings(ProcessingSettings):
    """What CONFIG_PARAM may say; each with the value it has when the parameter does not say it."""

    require_api_key: bool = False


# What the parameter's text was last understood as, by name.
_understood: dict[str, tuple[str | None, Settings]] = {}


def environment() -> str:
    """The environment's name, out of /iot-pipeline/<name>/config."""
    parts = os.environ["CONFIG_PARAM"].split("/")
    return parts[2] if len(parts) > 3 else "unknown"


def load(budget: Budget) -> Settings:
    """The configuration as last read. Never fails: what cannot be used stays as it was, at first the default.

    As it was, and not the default, so that damage to the parameter does not switch the API key's check off.
    """
    name = os.environ["CONFIG_PARAM"]
    text = parameters.read(name, budget).text
    last_text, settings = _understood.get(name, (None, Settings()))
    if text is not None and text != last_text:
        settings = _understand(text, settings)
        _understood[name] = text, settings
    return settings


def _understand(text: str, before: Settings) -> Settings:
    document = _object(text)
    if document is None:
        logger.warning("the configuration parameter is not a JSON object; nothing changes by it")
        return before
    known = {field.name: document[field.name] for field in fields(Settings) if field.name in document}
    bad = {name: getattr(before, name) for name, value in known.items() if not _acceptable(name, value)}
    if bad:
        logger.warning("the configuration has values that cannot be used; in their place: %s", bad)
    return replace(Settings(), **(known | bad))


def _object(text: str) -> dict[str, Any] | None:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _acceptable(name: str, value: Any) -> bool:
    whole = WHOLE_NUMBERS.get(name)
    if whole is None:
        return isinstance(value, bool)
    return isinstance(value, int) and not isinstance(value, bool) and whole.low <= value <= whole.high
