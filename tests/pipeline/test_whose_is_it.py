"""Whatever the state file says: `up` and `down` change what is the environment's, all of it, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from iotpipe.errors import IotpipeError
from tests.support.account_inventory import Things
from tests.support.ownership.situations import SITUATIONS, Situation
from tests.support.ownership.world import (
    COMMANDS,
    DOWN,
    DOWN_WITH_DATA,
    EAST,
    UP,
    WEST,
    Account,
    Cast,
    Machine,
    Start,
    everybody_up,
    look_around,
    nobody_up,
)

pytestmark = [pytest.mark.matrix, pytest.mark.together]


@pytest.fixture(scope="module", autouse=True)
def account() -> Iterator[None]:
    """One account for all: photographs are put back into it."""
    with mock_aws():
        yield


@pytest.fixture
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.getbasetemp() / "whose"
    found.mkdir(exist_ok=True)
    return found


@cache
def arranged(directory: Path, name: str) -> tuple[Cast, Start]:
    """Everybody is up, and then it happens."""
    cast, start = everybody_up(directory)
    cast.return_to(start)
    SITUATIONS[name].arrange(cast)
    return cast, cast.keep()


@cache
def seen(directory: Path, name: str, regions: tuple[str, ...]) -> Account:
    """What there is in these regions before the command."""
    cast, start = arranged(directory, name)
    cast.return_to(start)
    return look_around(*regions)


@cache
def made_from_nothing(directory: Path, actor: str, settings: str) -> Things:
    """What an `up` with these settings makes in an empty account."""
    cast, empty = nobody_up(directory)
    cast.return_to(empty)
    machine = cast.machines[actor]
    cast.configure(machine, json.loads(settings))
    machine.act(UP)
    return machine.share(look_around(machine.region))


CELLS = [
    pytest.param(name, actor, command, id=f"{name}-{actor}-{command}")
    for name, situation in SITUATIONS.items()
    for actor in situation.actors
    for command in (COMMANDS if actor == "mine" else (UP, DOWN_WITH_DATA))
]


@pytest.mark.sampled(8)
@pytest.mark.parametrize(("name", "actor", "command"), CELLS)
def test_nothing_of_others_is_touched_and_nothing_of_ours_is_left(
    directory: Path, name: str, actor: str, command: str
) -> None:
    situation = SITUATIONS[name]
    cast, start = arranged(directory, name)
    cast.return_to(start)
    machine = cast.machines[actor]
    wanted = made_from_nothing(directory, actor, json.dumps(machine.settings)) if command == UP else {}
    # Roles and dashboards are seen from every region, and nobody has a client of another one.
    regions = (EAST, WEST) if "west" in (*situation.actors, *name.split("_")) else (EAST,)
    before = seen(directory, name, regions)
    cast.return_to(start)
    if actor == situation.actors[0] and (message := situation.refused.get(command)):
        with pytest.raises(IotpipeError, match=re.escape(message)):
            machine.act(command)
        assert machine.writes == []
        assert look_around(*regions) == before
        return
    machine.act(command)
    check(situation, machine, command, before, look_around(*regions), wanted)
    if command == UP:
        assert machine.pending() == []
    else:  # The next `up` begins with what there is.
        assert {row.kind for row in machine.rows().values()} <= {"table", "api-gateway-account"}


def check(
    situation: Situation, machine: Machine, command: str, before: Account, after: Account, wanted: Things
) -> None:
    """What must hold after the command; `wanted` is what an `up` has to bring about."""
    assert machine.rest(after) == machine.rest(before)
    share, tables = machine.share(after), machine.share(before).get("tables", {})
    if command == UP:
        others = share["tables"].keys() - wanted["tables"].keys()
        assert others <= situation.kept
        assert _comparable(share, others) == _comparable(wanted, ())
    elif command == DOWN:
        assert share == ({"tables": tables} if tables else {})
    else:
        assert share == {}


def _comparable(share: Things, leaving_out: Collection[str]) -> Things:
    """Without other tables, and what they and the queues hold."""
    found = {kind: dict(things) for kind, things in share.items()}
    found["tables"] = {n: each for n, each in found["tables"].items() if n not in leaving_out}
    volatile = ("ItemCount", "TableSizeBytes", "ApproximateNumberOfMessages", "Version")
    return {kind: {n: _without(each, volatile) for n, each in things.items()} for kind, things in found.items()}


def _without(thing: Any, keys: Collection[str]) -> Any:
    return {key: each for key, each in thing.items() if key not in keys} if isinstance(thing, dict) else thing
