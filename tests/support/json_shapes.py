"""What docs/json.md says of the answers of --json, and whether an answer is as it says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

DOCUMENT = Path(__file__).parents[2] / "docs" / "json.md"


def described() -> dict[str, list[str]]:
    """The keys of each command, as `steps[].changes[].property`; `*` stands for a name."""
    found: dict[str, list[str]] = {}
    for section in re.split(r"^## ", DOCUMENT.read_text(encoding="utf-8"), flags=re.M)[1:]:
        heading, _, text = section.partition("\n")
        for command in re.findall(r"`([^`]+)`", heading):
            found[command] = re.findall(r"^\| `([^`]+)` \|", text, flags=re.M)
    return found


def keys(value: Any, path: str = "") -> Iterator[str]:
    """The path of every value that is no object with further ones."""
    if isinstance(value, dict) and value:
        for name, each in value.items():
            yield from keys(each, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value:
        for each in value:
            yield from keys(each, f"{path}[]")
    elif path:
        yield path


def matches(key: str, pattern: str) -> bool:
    """Whether the description covers the key. What is empty in one answer has parts in another."""
    parts = pattern.split("[]")
    forms = ["[[]]".join(parts[: count + 1]) for count in range(len(parts))]
    return any(fnmatchcase(key, form) for form in (*forms, f"{forms[-1]}.*", forms[-1].removesuffix(".*")))


def unknown(command: str, *answers: Any) -> list[str]:
    """Keys that came and are not described."""
    came = {key for answer in answers for key in keys(answer)}
    return sorted(key for key in came if not any(matches(key, each) for each in described()[command]))


def covered(command: str, *answers: Any) -> list[str]:
    """Keys that are described and came."""
    came = {key for answer in answers for key in keys(answer)}
    return [each for each in described()[command] if any(matches(key, each) for key in came)]


def assert_as_described(command: str, *answers: Any) -> None:
    assert unknown(command, *answers) == [], f"not described in docs/json.md: {command}"
    assert covered(command, *answers) == described()[command], "described and never answered"
