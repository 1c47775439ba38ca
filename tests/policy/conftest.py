"""The helpers of the tests whose calls are compared with the policies."""

from __future__ import annotations

import sys
from pathlib import Path

for folder in ("provision", "provision/foreign", "pipeline", "operations", "local"):
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))
