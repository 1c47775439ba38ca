"""The files beside the code: the changelog, the hooks before a commit, and the verbs of make."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def recipe(verb: str) -> list[str]:
    """The commands of one verb of the Makefile."""
    found = re.search(rf"^{verb}:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert found, f"the Makefile has no verb {verb}"
    return [line.strip() for line in found[1].splitlines()]


def test_the_changelog_begins_with_the_version_of_the_project() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    headings = re.findall(r"^## \[(\d[^]]*)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert headings[0] == version


def test_the_hooks_before_a_commit_are_the_checks_of_make_lint() -> None:
    [local] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    hooks = [each["entry"] for each in local["hooks"]]
    assert hooks == [command.replace("$(RUN)", ".venv/bin") for command in recipe("lint")]


def test_every_verb_is_phony() -> None:
    text = (ROOT / "Makefile").read_text("utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert phony
    assert set(re.findall(r"^([a-z-]+):.* ## ", text, re.MULTILINE)) <= set(phony[1].split())
