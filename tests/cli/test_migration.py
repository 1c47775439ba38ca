"""docs/migration.md shows commands that there are, with addresses that are declared."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from iotpipe.cli import iotpipe
from iotpipe.cli.options import ALL, Settings
from iotpipe.cli.session import undeployed
from iotpipe.provision.adoption import adoption
from tests.support.shell import Shell, settings

GUIDE = (Path(__file__).parents[2] / "docs" / "migration.md").read_text()
TYPED = re.findall(r"^\$ (iotpipe .*)$", GUIDE, re.MULTILINE)
MENTIONED = [each for each in re.findall(r"`(iotpipe [^`\n]+)`", GUIDE) if "=ID" not in each]
CONFIGURATION = re.search(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)


def parsed(line: str) -> tuple[str, click.Context]:
    """The command that is typed, and its options as click takes them; fails for those that there are not."""
    _, name, *arguments = shlex.split(line)
    return name, iotpipe.commands[name].make_context(name, arguments, obj=Settings())


@pytest.mark.parametrize("line", sorted({*TYPED, *MENTIONED}))
def test_every_command_that_is_shown_is_there(line: str) -> None:
    parsed(line)


def test_every_address_that_is_shown_is_declared_by_the_configuration_that_is_shown(shell: Shell) -> None:
    assert CONFIGURATION
    settings(shell, "prod", CONFIGURATION[1])
    there = undeployed(Settings(config_dir=shell.directory / "config", env="prod"))
    said = [[each for each in parsed(line)[1].params.get("adopt", ()) if each != ALL] for line in TYPED]
    assert len({address for each in said for address in adoption(False, each, there).named}) > 15
