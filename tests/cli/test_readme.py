"""What the README shows is what the commands do."""

from __future__ import annotations

import re
from pathlib import Path

from iotpipe.cli import iotpipe
from tests.support.shell import Shell, settings

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_commands_of_the_table_are_those_there_are() -> None:
    table = re.findall(r"^\| `(\w[\w-]*)` \|", README, re.MULTILINE)
    assert sorted(table) == sorted(iotpipe.commands)


def test_the_configuration_that_is_shown_has_the_problems_that_are_shown(shell: Shell) -> None:
    shown = re.search(r"\$ cat config/dev.yaml\n(.*?)\$ iotpipe validate --env dev\n(.*?)```", README, re.DOTALL)
    assert shown
    settings(shell, "dev", shown[1])
    assert shell.run("validate", "--env", "dev", code=2).stderr == shown[2]


def test_the_tree_that_is_shown_is_the_whole_tree() -> None:
    package = Path(__file__).parents[2] / "iotpipe"
    named = re.findall(r"^  (\w+(?:/|\.py)) ", README, re.MULTILINE)
    folders = [f"{each.name}/" for each in package.iterdir() if (each / "__init__.py").exists()]
    modules = [each.name for each in package.glob("*.py") if not each.name.startswith("__")]
    assert sorted(named) == sorted([*folders, *modules])


def test_every_page_that_is_linked_is_there() -> None:
    root = Path(__file__).parents[2]
    for page in (root / "README.md", *(root / "docs").glob("*.md")):
        for link in re.findall(r"\]\(([\w./-]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"


def test_every_verb_of_make_that_is_shown_is_there() -> None:
    verbs = re.findall(r"^(\w+):.* ## ", (Path(__file__).parents[2] / "Makefile").read_text(), re.MULTILINE)
    shown = re.findall(r"^\$ make (\w+)|`make (\w+)`", README, re.MULTILINE)
    assert {first or second for first, second in shown} <= set(verbs)
