"""What iotpipe does about AWS besides trying again: each handling taken away in turn, something goes wrong."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import reality_parts as parts
from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from pipeline_inventory import left_over
from reality_layer import PROMPT, Delays
from reality_scenes import Play, late, playing

from iotpipe.errors import ApplyFailed, IotpipeError
from iotpipe.provision import apply, ledger, plan
from iotpipe.provision.resource import Resource, everything
from iotpipe.provision.resources import (
    Account,
    Allow,
    EventSourceMapping,
    Function,
    Layer,
    LogGroup,
    Permission,
    Queue,
    RestApi,
    Role,
    Route,
    Stage,
    Subscription,
    Table,
    apigateway,
    sns,
)
from iotpipe.provision.run import Run


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


def not_refused(play: Play, text: str, operation: str = "") -> None:
    assert not play.reality.refused(operation, text)


# Names and tags


def a_parameter_comes_again(play: Play) -> None:
    play.up(parts.PARAMETER)
    play.world.down()
    play.up(parts.PARAMETER)
    not_refused(play, "", "PutParameter")
    assert any("AWS lets a name be reused after 30 s: 30 s left" in each for each in play.world.told())


def a_queue_that_still_answers_comes_again(play: Play) -> None:
    play.up(parts.DEAD_LETTERS)
    play.world.down()
    play.up(parts.DEAD_LETTERS)
    assert "queues: dead-letters" in left_over()


def a_plan_follows_an_up(play: Play) -> None:
    play.up(parts.QUEUE)
    assert not play.world.plan([parts.DEAD_LETTERS, parts.QUEUE]).pending


def an_answer_is_lost_and_the_tags_come_late(play: Play) -> None:
    play.up_losing_the_answer_of("CreateQueue", parts.DEAD_LETTERS)


def a_pending_subscription_is_given_up(play: Play) -> None:
    play.up(Subscription("on-call@example.com", topic=parts.TOPIC))
    play.up(parts.TOPIC)
    not_refused(play, "pending confirmation", "Unsubscribe")


def _listed_as_if_confirmed(run: Run, topic: str) -> dict[str, str]:
    return {"on-call@example.com": f"{topic}:5be8f5b4-6aa8-4a34-9f1c-3b1c5c5d7f7e"}


# Functions


def code_and_settings_change_together(play: Play) -> None:
    play.up(parts.FUNCTION)
    play.up(parts.function(code=parts.OTHER_CODE, memory=512))
    not_refused(play, "update is in progress")


def an_update_fails_after_it_was_accepted(play: Play) -> None:
    play.up(parts.FUNCTION)
    play.reality.functions.next_update_fails = "InvalidRuntime"
    with pytest.raises(ApplyFailed, match="InvalidRuntime: The function could not be updated"):
        play.up(parts.function(memory=512))


def a_function_is_made(play: Play) -> None:
    play.up(parts.FUNCTION)


def a_layer_takes_a_second_try(play: Play) -> None:
    play.up_losing_the_answer_of("PublishLayerVersion", parts.FUNCTION)


def a_function_is_made_after_a_kept_back_queue(play: Play) -> None:
    play.up(parts.FUNCTION)
    play.world.down()
    play.up(parts.FUNCTION)
    not_refused(play, "SendMessage")


def a_role_is_made_anew_by_hand(play: Play) -> None:
    play.up(parts.FUNCTION)
    iam = play.world.hand("iam")
    iam.delete_role_policy(RoleName="worker-role", PolicyName="iotpipe")
    iam.delete_role(RoleName="worker-role")
    play.up(parts.FUNCTION)
    assert play.bound_role() == play.reality.iam.roles["worker-role"].identifier


def a_permission_is_given_once_there_is_a_function(play: Play) -> None:
    play.up(parts.permission("/query"))


def a_permission_changes(play: Play) -> None:
    play.up(parts.permission("/query"))
    play.up(replace(parts.permission("/query"), method="POST"))


def a_queue_is_mapped_to_a_new_function(play: Play) -> None:
    play.up(parts.mapping())


def a_queue_that_was_given_up_is_mapped_to_a_function(play: Play) -> None:
    play.up(parts.FUNCTION)
    play.world.up([each for each in everything(parts.FUNCTION) if each is not parts.QUEUE])
    play.up(parts.mapping())
    not_refused(play, "NonExistentQueue")


def a_mapping_comes_again(play: Play) -> None:
    play.up(parts.mapping())
    play.world.down()
    play.up(parts.mapping())
    not_refused(play, "already exists")


def a_dead_letter_queue_that_was_given_up_comes_again(play: Play) -> None:
    play.up(parts.DEAD_LETTERS)
    play.up(parts.TOPIC)
    play.up(parts.QUEUE)
    not_refused(play, "Dead letter target")


def a_table_is_made(play: Play) -> None:
    play.up(parts.table())
    not_refused(play, "", "UpdateContinuousBackups")


# Logs


def a_function_that_has_logged_goes(play: Play) -> None:
    play.up(parts.FUNCTION)
    play.world.down()
    _all_logs_are_delivered(play)


def a_function_that_may_make_its_group_goes(play: Play) -> None:
    may_log = Allow("Log", ["logs:CreateLogGroup"])
    play.up(parts.function(role=replace(parts.ROLE, may=[*parts.ROLE.may, may_log])))
    play.world.down()
    _all_logs_are_delivered(play)


def an_api_that_has_logged_goes(play: Play) -> None:
    play.up(parts.stage(account=parts.ACCOUNT))
    play.world.down()
    _all_logs_are_delivered(play)


def an_api_whose_down_was_killed_comes_again(play: Play) -> None:
    play.up(parts.stage(account=parts.ACCOUNT))
    with play.killed_after("DeleteRestApi"):
        play.world.down()
    play.up(parts.stage(account=parts.ACCOUNT))
    play.reality.time.sleep(30)
    play.world.down()
    _all_logs_are_delivered(play)


def _all_logs_are_delivered(play: Play) -> None:
    play.reality.time.sleep(60)
    play.reality.logs.deliver()
    assert not left_over()


def _role_that_may_make_groups() -> AbstractContextManager[Any]:
    """The function's role as the managed policy AWSLambdaBasicExecutionRole would have it."""
    may = [*parts.ROLE.may, Allow("Log", ["logs:CreateLogGroup"])]
    return patch.object(parts, "FUNCTION", parts.function(role=replace(parts.ROLE, may=may)))


# API Gateway


def three_routes_are_made(play: Play) -> None:
    play.up(*(parts.route(path) for path in ("/a", "/b", "/c")))
    not_refused(play, "concurrent modification")


def a_stage_logs(play: Play) -> None:
    play.up(parts.stage(account=parts.ACCOUNT))


def a_route_takes_a_second_try(play: Play) -> None:
    play.up_losing_the_answer_of("CreateResource", parts.stage())


def a_route_is_given_another_function(play: Play) -> None:
    play.up(parts.stage(parts.route("/query")))
    play.reality.time.sleep(5)
    other = replace(parts.route("/query"), function=replace(parts.FUNCTION, name="other"))
    play.world.up([parts.API, other, parts.stage(other)])


HANDLINGS = (
    Handling(
        "names that are kept back are waited for", instead_of(apply, "_await_name", nothing), a_parameter_comes_again
    ),
    Handling(
        "deletions are noted rather too late",
        instead_of(ledger, "math", type("Floor", (), {"ceil": staticmethod(int)})),
        a_parameter_comes_again,
    ),
    Handling(
        "what was just deleted is not read",
        instead_of(Run, "_read", lambda self, resource: resource.read(self)),
        a_queue_that_still_answers_comes_again,
        late(queue_gone=30),
    ),
    Handling(
        "tags that come late are believed",
        instead_of(plan, "with_late_tags", lambda observed, run, row: observed),
        a_plan_follows_an_up,
        late(queue_tags=45),
    ),
    Handling(
        "what we were making is waited for",
        instead_of(apply, "may_be_ours", lambda *ignored: False),
        an_answer_is_lost_and_the_tags_come_late,
        late(queue_tags=45),
    ),
    Handling(
        "a pending subscription lapses by itself",
        lambda: patch.object(sns, "_subscriptions", _listed_as_if_confirmed),
        a_pending_subscription_is_given_up,
    ),
    Handling(
        "updates of a function are waited for",
        instead_of(Function, "_wait_until_updated", nothing),
        code_and_settings_change_together,
        late(updating=4),
    ),
    Handling(
        "updates of a function are looked after",
        instead_of(Function, "_wait_until_updated", nothing),
        an_update_fails_after_it_was_accepted,
        late(updating=4),
    ),
    Handling("a function waits for its role", not_waiting(Function, Role), a_function_is_made, late(unwritable=1)),
    Handling("a function waits for its layer", not_waiting(Function, Layer), a_layer_takes_a_second_try),
    Handling(
        "a function waits for its dead-letter queue",
        not_waiting(Function, Queue),
        a_function_is_made_after_a_kept_back_queue,
    ),
    Handling(
        "a function is given its role anew",
        instead_of(Function, "_bound_to", lambda self, run: run.assigned(self.role, "RoleId")),
        a_role_is_made_anew_by_hand,
    ),
    Handling(
        "a permission waits for its function",
        not_waiting(Permission, Function),
        a_permission_is_given_once_there_is_a_function,
        late(role=120),
    ),
    Handling(
        "a permission is taken back before it is given anew",
        instead_of(Permission, "update", lambda self, run, desired, observed: self.create(run, desired)),
        a_permission_changes,
    ),
    Handling(
        "a mapping waits for its function",
        not_waiting(EventSourceMapping, Function),
        a_queue_is_mapped_to_a_new_function,
        late(role=5),
    ),
    Handling(
        "a mapping waits for its queue",
        not_waiting(EventSourceMapping, Queue),
        a_queue_that_was_given_up_is_mapped_to_a_function,
    ),
    Handling(
        "a mapping is waited for until it is gone",
        instead_of(EventSourceMapping, "finish", classmethod(nothing)),
        a_mapping_comes_again,
        late(mapping_gone=90),
    ),
    Handling(
        "a queue waits for its dead-letter queue",
        not_waiting(Queue, Queue),
        a_dead_letter_queue_that_was_given_up_comes_again,
    ),
    Handling(
        "a table is waited for",
        instead_of(Table, "_wait_until_active", nothing),
        a_table_is_made,
        late(table_creating=7),
    ),
    Handling("roles may not make log groups", _role_that_may_make_groups, a_function_that_has_logged_goes),
    Handling(
        "log groups are swept once more at the end",
        instead_of(LogGroup, "finish", classmethod(nothing)),
        a_function_that_may_make_its_group_goes,
        replace(PROMPT, late_logs=0.35),
    ),
    Handling(
        "the logs of an API go with it",
        lambda: patch.multiple(apigateway, log_groups=lambda run, prefix: [], delete_log_group=nothing),
        an_api_that_has_logged_goes,
    ),
    Handling(
        "what a killed down has begun is finished",
        instead_of(apply, "_finish_predecessor", nothing),
        an_api_whose_down_was_killed_comes_again,
    ),
    Handling(
        "one change of an API at a time",
        instead_of(Run, "exclusive", lambda self, key: contextlib.nullcontext()),
        three_routes_are_made,
    ),
    Handling("a route waits for its API", not_waiting(Route, RestApi), three_routes_are_made),
    Handling("a stage waits for the account", not_waiting(Stage, Account), a_stage_logs, late(role=110)),
    Handling("a stage waits for the routes", not_waiting(Stage, Route), a_route_takes_a_second_try),
    Handling(
        "a deployment that is served is left alone",
        instead_of(apigateway, "_outdated", lambda stages, ours, wanted: sorted(ours)),
        a_route_is_given_another_function,
    ),
)


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
