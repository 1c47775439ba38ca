"""The page's files. They are read once: a path of a request is only ever looked up, never opened."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True)
class File:
    content: bytes
    content_type: str


@cache
def page_files() -> dict[str, File]:
    """Every file of the page by its path in a URL; `/` is the page itself."""
    found = {}
    for each in resources.files(__package__).joinpath("page").iterdir():
        suffix = f".{each.name.rpartition('.')[2]}"
        if suffix in _TYPES:
            found[f"/{each.name}"] = File(each.read_bytes(), _TYPES[suffix])
    return found | {"/": found["/index.html"]}
