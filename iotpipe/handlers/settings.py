"""Reads the environment's settings from SSM, cached for about five minutes."""

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
    """The settings in CONFIG_PARAM, with their defaults."""

    require_api_key: bool = False


# The last text of each parameter and the settings parsed from it, by the parameter's name.
_parsed: dict[str, tuple[str | None, Settings]] = {}


def environment() -> str:
    """Return the environment's name, from /iot-pipeline/<name>/config; "unknown" outside of Lambda."""
    parts = os.environ.get("CONFIG_PARAM", "").split("/")
    return parts[2] if len(parts) > 3 else "unknown"


def load(budget: Budget) -> Settings:
    """Return the settings as last read. Never fails: invalid values are replaced with the previous ones or the default.

    The previous value goes first, so that a damaged parameter does not switch off the check of the API key.
    """
    name = os.environ["CONFIG_PARAM"]
    text = parameters.read(name, budget).text
    last_text, settings = _parsed.get(name, (None, Settings()))
    if text is not None and text != last_text:
        settings = _parse(text, settings)
        _parsed[name] = text, settings
    return settings


def _parse(text: str, before: Settings) -> Settings:
    document = _object(text)
    if document is None:
        logger.warning("the configuration parameter is not a JSON object; the previous settings stay in effect")
        return before
    known = {field.name: document[field.name] for field in fields(Settings) if field.name in document}
    replaced = {name: getattr(before, name) for name, value in known.items() if not _is_valid(name, value)}
    if replaced:
        logger.warning("the configuration has invalid values; used instead: %s", replaced)
    return replace(Settings(), **(known | replaced))


def _object(text: str) -> dict[str, Any] | None:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _is_valid(name: str, value: Any) -> bool:
    whole = WHOLE_NUMBERS.get(name)
    if whole is None:
        return isinstance(value, bool)
    return isinstance(value, int) and not isinstance(value, bool) and whole.low <= value <= whole.high
