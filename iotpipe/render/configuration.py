"""The problems of a configuration, for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from iotpipe.errors import Problem


def problems(name: str, found: Sequence[Problem]) -> dict[str, Any]:
    """The problems of a configuration, for a program."""
    return {"environment": name, "valid": not found, "problems": [vars(each) for each in found]}
