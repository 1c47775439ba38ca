"""The printed policy names the API that is recorded: what happens where another one takes its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from botocore.client import BaseClient
from moto import mock_aws

from iotpipe.errors import ApplyFailed
from iotpipe.operations.outputs import outputs
from iotpipe.policy import Environment, document
from iotpipe.provision.adoption import EVERYTHING, NOTHING, Adoption
from iotpipe.provision.ledger import Row
from tests.support.account_inventory import client
from tests.support.engine_world import refusal
from tests.support.original_stack import STAGE, Original
from tests.support.pipeline_world import Declared, World, declare
from tests.support.policy.calls import ACCOUNT, REGION, asked
from tests.support.policy.decision import allowing

pytestmark = pytest.mark.matrix

API = "rest-api/iot-api-dev"


@contextmanager
def allowed_by(policy: dict[str, Any]) -> Iterator[None]:
    """Of API Gateway and its logs, whoever makes the calls of iotpipe may do what this policy says and nothing else."""
    call = BaseClient._make_api_call

    def judged(self: Any, operation: str, parameters: Mapping[str, Any]) -> Any:
        if self.meta.config.user_agent_extra == "iotpipe":
            for each in asked(self.meta.service_model, operation, parameters):
                if each.action.startswith(("apigateway:", "logs:")) and not allowing(policy, each):
                    who = f"User: arn:aws:iam::{ACCOUNT}:user/operator is not authorized to perform: {each.action}"
                    why = f"because no identity-based policy allows the {each.action} action"
                    raise refusal(operation, "AccessDeniedException", f"{who} on resource: {each.resource} {why}")
        return call(self, operation, parameters)

    with patch.object(BaseClient, "_make_api_call", judged):
        yield


def printed(declared: Declared, rows: Mapping[str, Row]) -> dict[str, Any]:
    return document(Environment("dev", ACCOUNT, REGION, declared.resources, rows))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with mock_aws():
        yield World(tmp_path)


@pytest.fixture
def wanted(tmp_path: Path) -> Declared:
    return declare(tmp_path, {"api": {"stage": STAGE}})


def chosen_by_its_id(original: Original) -> Adoption:
    return Adoption(True, {API: original.make_api()})


def of_the_name(original: Original) -> Adoption:
    client("apigateway").delete_rest_api(restApiId=original.api)
    original.make_api()
    return EVERYTHING


def made_anew(original: Original) -> Adoption:
    client("apigateway").delete_rest_api(restApiId=original.api)
    return NOTHING


@pytest.mark.sampled(3)
@pytest.mark.parametrize("exchange", [chosen_by_its_id, of_the_name, made_anew])
@pytest.mark.parametrize("before", [True, False], ids=["printed without an API", "printed again"])
def test_another_api_takes_the_place_of_the_recorded_one(
    world: World, wanted: Declared, exchange: Callable[[Original], Adoption], before: bool
) -> None:
    original = Original(client).make()
    world.bring_up(wanted, EVERYTHING)
    world.clock.time += 3600
    policy, adopt = printed(wanted, {} if before else world.rows()), exchange(original)
    if not before:
        with allowed_by(policy), pytest.raises(ApplyFailed) as denied:
            world.bring_up(wanted, adopt)
        [error] = denied.value.failed
        assert "apigateway:PUT on resource: " in str(error)
        assert (
            "`iotpipe policy --env dev` prints all that are needed, for the API that the state file names by now"
            in error.hint
        )
        policy = printed(wanted, world.rows())
    with allowed_by(policy):
        world.bring_up(wanted, adopt)
    [made] = [each["id"] for each in client("apigateway").get_rest_apis()["items"]]
    assert made != original.api and made in outputs(ACCOUNT, REGION, world.rows())["ApiEndpoint"]
