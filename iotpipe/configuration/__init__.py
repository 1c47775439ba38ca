"""Configuration: read `config/<name>.yaml`, validate it and return an `Environment`."""

from __future__ import annotations

from iotpipe.configuration.files import environments, starter_files
from iotpipe.configuration.loading import load
from iotpipe.configuration.model import Environment
from iotpipe.configuration.schema import json_schema

__all__ = ["Environment", "environments", "json_schema", "load", "starter_files"]
