"""What packaging builds for Lambda."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iotpipe.packaging import Archive, Layer


@dataclass(frozen=True)
class Artifacts:
    """The zip of each handler, by its name, and the layer."""

    handlers: Mapping[str, Archive]
    layer: Layer
