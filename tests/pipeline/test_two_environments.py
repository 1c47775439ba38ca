"""Two environments in one account: nothing in common but API Gateway's logging role, and no harm to each other."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from iotpipe.errors import RefusedError
from iotpipe.provision.adoption import EVERYTHING
from tests.support.account_inventory import client, inventory, left_over
from tests.support.pipeline_world import Declared, World

pytestmark = pytest.mark.matrix

ACCOUNT_ROLE = "api-gateway-account/us-east-1"


@pytest.fixture
def worlds(tmp_path: Path, declared: Callable[..., Declared]) -> tuple[World, World]:
    dev, prod = World(tmp_path, "dev"), World(tmp_path, "prod")
    dev.bring_up(declared({}, "dev"))
    prod.bring_up(declared({}, "prod"))
    return dev, prod


def test_they_share_nothing_but_the_account_role(worlds: tuple[World, World]) -> None:
    dev, prod = (world.rows() for world in worlds)
    own = [{row.name for row in rows.values() if row.kind not in ("route", "permission")} for rows in (dev, prod)]
    assert own[0] & own[1] == {"us-east-1"}
    for rows, other in ((dev, "prod"), (prod, "dev")):
        said = json.dumps([row.properties for row in rows.values()])
        assert re.findall(rf"[\w/-]*-{other}\b", said) == []
        assert f'"iotpipe:environment": "{other}"' not in said


def test_taking_one_down_does_not_touch_the_other(
    worlds: tuple[World, World], declared: Callable[..., Declared]
) -> None:
    dev, prod = worlds
    assert dev.down(delete_data=True) == [ACCOUNT_ROLE]
    beside = inventory()
    assert prod.planned(declared({}, "prod")).pending == ()
    assert prod.down(delete_data=True) == [ACCOUNT_ROLE]
    assert left_over() == []
    prod.clock.time += 61  # SQS keeps the names back for a minute
    prod.bring_up(declared({}, "prod"))
    assert inventory() == beside


def test_two_environments_cannot_have_one_suffix(
    worlds: tuple[World, World], tmp_path: Path, declared: Callable[..., Declared]
) -> None:
    before = inventory()
    third = World(tmp_path, "third")
    with pytest.raises(RefusedError, match="belongs to the environment 'prod'"):
        third.bring_up(declared({"suffix": "prod"}, "third"), adopt=EVERYTHING)
    assert third.writes == []
    assert inventory() == before


def test_an_account_role_that_is_set_already_is_left_as_it_is(world: World, declared: Callable[..., Declared]) -> None:
    theirs = "arn:aws:iam::123456789012:role/somebody-elses-logging"
    patch = {"op": "replace", "path": "/cloudwatchRoleArn", "value": theirs}
    client("apigateway").update_account(patchOperations=[patch])
    world.bring_up(declared())
    assert "UpdateAccount" not in world.writes
    world.down(delete_data=True)
    assert client("apigateway").get_account()["cloudwatchRoleArn"] == theirs
    assert client("iam").list_roles()["Roles"] == []
