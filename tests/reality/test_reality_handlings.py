"""What iotpipe does about AWS besides trying again: each handling taken away in turn, something goes wrong."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data

from iotpipe.errors import IotpipeError
from iotpipe.provision import apply, ledger, steps
from iotpipe.provision.resource import Resource
from iotpipe.provision.resources import api_gateway_account, deployments, event_source_mapping, subscription
from iotpipe.provision.resources.api_gateway_account import ApiGatewayAccount
from iotpipe.provision.resources.event_source_mapping import EventSourceMapping
from iotpipe.provision.resources.function import Function
from iotpipe.provision.resources.layer import Layer
from iotpipe.provision.resources.log_group import LogGroup
from iotpipe.provision.resources.permission import Permission
from iotpipe.provision.resources.queue import Queue
from iotpipe.provision.resources.rest_api import RestApi
from iotpipe.provision.resources.role import Allow, Role
from iotpipe.provision.resources.route import Route
from iotpipe.provision.resources.stage import Stage
from iotpipe.provision.resources.table import Table
from iotpipe.provision.run import Run
from tests.support.aws_rules import acts, parts
from tests.support.aws_rules.delays import PROMPT, Delays
from tests.support.aws_rules.scenes import Play, late, playing


@dataclass(frozen=True)
class Handling:
    """`act` raises AssertionError or an IotpipeError where something is wrong, as it is `without` the handling."""

    what: str
    without: Callable[[], AbstractContextManager[Any]]
    act: Callable[[Play], None]
    delays: Delays = PROMPT

    def play(self, directory: Path) -> None:
        with playing(directory, self.delays) as play:
            self.act(play)


def instead_of(owner: Any, name: str, replacement: Any) -> Callable[[], AbstractContextManager[Any]]:
    return lambda: patch.object(owner, name, replacement)


def not_waiting(kind: type[Resource], needed: type[Resource]) -> Callable[[], AbstractContextManager[Any]]:
    """The kind, begun without what it needs of the other kind."""
    needs = kind.needs
    return instead_of(kind, "needs", lambda self: tuple(e for e in needs(self) if not isinstance(e, needed)))


def nothing(*ignored: Any) -> None:
    return


def _listed_as_if_confirmed(listed: list[dict[str, str]]) -> dict[str, str]:
    return {each["Endpoint"]: f"{each['TopicArn']}:5be8f5b4-6aa8-4a34-9f1c-3b1c5c5d7f7e" for each in listed}


def _served_first(stages: Mapping[str, Any], known: Mapping[str, str]) -> list[str]:
    """Every deployment, those that are served first: with the others deleted, a second try would find nothing to do."""
    served = {stage["deploymentId"] for stage in stages.values()}
    return sorted(known, key=lambda each: each not in served)


def _role_that_may_make_groups() -> AbstractContextManager[Any]:
    """The function's role as the managed policy AWSLambdaBasicExecutionRole would have it."""
    may = [*parts.ROLE.may, Allow("Log", ["logs:CreateLogGroup"])]
    return patch.object(parts, "FUNCTION", parts.function(role=replace(parts.ROLE, may=may)))


@contextmanager
def _without_deletion_of_logs() -> Iterator[None]:
    left = classmethod(nothing)
    with patch.object(RestApi, "final_cleanup", left), patch.object(Stage, "final_cleanup", left):
        yield


HANDLINGS = (
    Handling(
        "names that are kept back are waited for",
        instead_of(apply, "_await_name", nothing),
        acts.a_parameter_comes_again,
    ),
    Handling(
        "deletions are noted rather too late",
        instead_of(ledger, "math", type("Floor", (), {"ceil": staticmethod(int)})),
        acts.a_parameter_comes_again,
    ),
    Handling(
        "what was just deleted is not read",
        instead_of(Run, "_read", lambda self, resource: resource.read(self)),
        acts.a_queue_that_still_answers_comes_again,
        late(queue_gone=30),
    ),
    Handling(
        "tags that come late are believed",
        instead_of(steps, "with_pending_tags", lambda resource, observed, run, row: observed),
        acts.a_plan_follows_an_up,
        late(queue_tags=45),
    ),
    Handling(
        "tags that come late are not set again with a change",
        instead_of(apply, "with_pending_tags", lambda resource, observed, run, row: observed),
        acts.a_new_queue_is_changed,
        late(queue_tags=45),
    ),
    Handling(
        "what we were making is waited for",
        instead_of(apply, "is_unclear", lambda *ignored: False),
        acts.an_answer_is_lost_and_the_tags_come_late,
        late(queue_tags=45),
    ),
    Handling(
        "a pending subscription lapses by itself",
        lambda: patch.object(subscription, "_emails", _listed_as_if_confirmed),
        acts.a_pending_subscription_is_given_up,
    ),
    Handling(
        "updates of a function are waited for",
        instead_of(Function, "wait_until_updated", nothing),
        acts.code_and_settings_change_together,
        late(updating=4),
    ),
    Handling(
        "updates of a function are looked after",
        instead_of(Function, "wait_until_updated", nothing),
        acts.an_update_fails_after_it_was_accepted,
        late(updating=4),
    ),
    Handling("a function waits for its role", not_waiting(Function, Role), acts.a_function_is_made, late(unwritable=1)),
    Handling("a function waits for its layer", not_waiting(Function, Layer), acts.a_layer_takes_a_second_try),
    Handling(
        "a function waits for its dead-letter queue",
        not_waiting(Function, Queue),
        acts.a_function_is_made_after_a_kept_back_queue,
    ),
    Handling(
        "a function is given its role anew",
        instead_of(Function, "_bound_to", lambda self, run: run.assigned(self.role, "RoleId")),
        acts.a_role_is_made_anew_by_hand,
    ),
    Handling(
        "a permission waits for its function",
        not_waiting(Permission, Function),
        acts.a_permission_is_given_once_there_is_a_function,
        late(role=120),
    ),
    Handling(
        "a permission is taken back before it is given anew",
        instead_of(Permission, "update", lambda self, run, desired, observed: self.create(run, desired)),
        acts.a_permission_changes,
    ),
    Handling(
        "a mapping waits for its function",
        not_waiting(EventSourceMapping, Function),
        acts.a_queue_is_mapped_to_a_new_function,
        late(role=120),
    ),
    Handling(
        "a mapping waits for its queue",
        not_waiting(EventSourceMapping, Queue),
        acts.a_queue_that_was_given_up_is_mapped_to_a_function,
    ),
    Handling(
        "a mapping is waited for until it is gone",
        instead_of(EventSourceMapping, "final_cleanup", classmethod(nothing)),
        acts.a_mapping_comes_again,
        late(mapping_gone=90),
    ),
    Handling(
        "a mapping that is being made is as it was made",
        instead_of(event_source_mapping, "_ENABLED", {"Creating": True}),
        acts.a_mapping_is_made_disabled,
        late(mapping=10),
    ),
    Handling(
        "a queue waits for its dead-letter queue",
        not_waiting(Queue, Queue),
        acts.a_dead_letter_queue_that_was_given_up_comes_again,
    ),
    Handling(
        "a table is waited for",
        instead_of(Table, "_wait_until_active", nothing),
        acts.a_table_is_made,
        late(table_creating=7),
    ),
    Handling("roles may not make log groups", _role_that_may_make_groups, acts.a_function_that_has_logged_goes),
    Handling(
        "log groups are swept once more at the end",
        instead_of(LogGroup, "final_cleanup", classmethod(nothing)),
        acts.a_function_that_may_make_its_group_goes,
        replace(PROMPT, late_logs=0.35),
    ),
    Handling(
        "the logs of an API go with it",
        _without_deletion_of_logs,
        acts.an_api_that_has_logged_goes,
    ),
    Handling(
        "what a killed down has begun is finished",
        instead_of(apply, "_finish_predecessor", nothing),
        acts.an_api_whose_down_was_killed_comes_again,
    ),
    Handling(
        "one change of an API at a time",
        instead_of(Run, "exclusive", lambda self, key: contextlib.nullcontext()),
        acts.three_routes_are_made,
    ),
    Handling("a route waits for its API", not_waiting(Route, RestApi), acts.three_routes_are_made),
    Handling(
        "the logging role is given time",
        instead_of(api_gateway_account, "_PROPAGATES", 0),
        acts.an_account_gets_its_role,
        late(role=8),
    ),
    Handling("a stage waits for the account", not_waiting(Stage, ApiGatewayAccount), acts.a_stage_logs, late(role=110)),
    Handling("a stage waits for the routes", not_waiting(Stage, Route), acts.a_route_takes_a_second_try),
    Handling(
        "a deployment that is served is left alone",
        instead_of(deployments, "outdated_deployments", lambda stages, known, wanted: _served_first(stages, known)),
        acts.a_route_is_given_another_function,
    ),
)


@pytest.mark.sampled(4)
@pytest.mark.parametrize("handling", HANDLINGS, ids=lambda handling: handling.what)
def test_a_handling_is_missed_when_it_is_gone(handling: Handling, tmp_path: Path) -> None:
    for name in ("with", "without"):
        (tmp_path / name).mkdir()
    handling.play(tmp_path / "with")
    BackendDict.reset()
    reset_model_data()
    wrong = (AssertionError, IotpipeError, pytest.fail.Exception)
    with handling.without(), pytest.raises(wrong):
        handling.play(tmp_path / "without")
