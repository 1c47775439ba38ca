"""Lets the tests here and those of the policies find the table of what others add."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
