"""The rights of the functions that docs/security.md lists are those of their roles."""

from __future__ import annotations

import re
from pathlib import Path

from iotpipe.names import HANDLERS, Names
from iotpipe.provision.resources.role import Role
from tests.support.engine_world import declared

PAGE = Path(__file__).parents[2] / "docs" / "security.md"


def listed(name: str) -> set[str]:
    [actions] = re.findall(rf"^\| {name} \| (.*) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    return set(re.findall(r"`([^`]+)`", actions))


def test_the_page_lists_the_actions_of_every_function(config_dir: Path) -> None:
    resources, _ = declared(config_dir)
    roles = {each.name: each for each in resources if isinstance(each, Role)}
    for handler in HANDLERS:
        may = {action for allow in roles[Names("dev").role(handler)].may for action in allow.actions}
        assert listed(handler) | listed("all") == may, f"docs/security.md: correct the row {handler}"
