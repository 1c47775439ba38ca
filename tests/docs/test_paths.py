"""Every file that a document names exists, and every link leads somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CHANGELOG.md"]

# What begins like a path of the repository: other paths are those of a user's directory or of AWS.
PATH = re.compile(r"`((?:iotpipe|tests|docs|benchmarks)/[\w./-]*|[A-Z]\w+\.md|Makefile|pyproject\.toml)`")
LINK = re.compile(r"\]\(([^)#:]+)\)")


def named(document: Path) -> Iterator[Path]:
    text = document.read_text("utf-8")
    yield from (ROOT / path for path in PATH.findall(text))
    yield from (document.parent / link for link in LINK.findall(text))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_is_named_exists(document: Path) -> None:
    missing = sorted({str(path.relative_to(ROOT)) for path in named(document) if not path.exists()})
    assert not missing, f"{document.name} names files that do not exist. Correct the names in the document"
