"""What happens in the tests of the handlings: each act raises AssertionError or an IotpipeError if that ends badly."""

from __future__ import annotations

from dataclasses import replace

import pytest

from iotpipe.errors import ApplyFailed
from iotpipe.provision.resource import everything
from iotpipe.provision.resources.role import Allow
from iotpipe.provision.resources.subscription import Subscription
from tests.support.account_inventory import left_over
from tests.support.aws_rules import parts
from tests.support.aws_rules.scenes import Play


def not_refused(play: Play, text: str, operation: str = "") -> None:
    assert not play.reality.refused(operation, text)


# Names and tags


def a_parameter_comes_again(play: Play) -> None:
    play.up(parts.PARAMETER)
    play.world.down()
    play.up(parts.PARAMETER)
    not_refused(play, "", "PutParameter")
    assert any("AWS frees the name 30 s after its deletion: 30 s left" in each for each in play.world.told())


def a_queue_that_still_answers_comes_again(play: Play) -> None:
    play.up(parts.DEAD_LETTERS)
    play.world.down()
    play.up(parts.DEAD_LETTERS)
    assert "queues: dead-letters" in left_over()


def a_plan_follows_an_up(play: Play) -> None:
    play.up(parts.QUEUE)
    assert not play.world.plan([parts.DEAD_LETTERS, parts.QUEUE]).pending


def a_new_queue_is_changed(play: Play) -> None:
    play.up(parts.DEAD_LETTERS)
    play.up(replace(parts.DEAD_LETTERS, retention=120))
    assert play.world.writes[-1:] == ["SetQueueAttributes"]


def an_answer_is_lost_and_the_tags_come_late(play: Play) -> None:
    play.up_losing_the_answer_of("CreateQueue", parts.DEAD_LETTERS)
    assert "TagQueue" not in play.world.writes, "whose it is was not clear yet"


def a_pending_subscription_is_given_up(play: Play) -> None:
    play.up(Subscription("on-call@example.com", topic=parts.TOPIC))
    play.up(parts.TOPIC)
    not_refused(play, "pending confirmation", "Unsubscribe")


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


def a_mapping_is_made_disabled(play: Play) -> None:
    stopped = parts.mapping(enabled=False)
    play.up(stopped)
    assert not play.world.plan(everything(stopped)).pending


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


# API Gateway


def three_routes_are_made(play: Play) -> None:
    play.up(*(parts.route(path) for path in ("/a", "/b", "/c")))
    not_refused(play, "concurrent modification")


def an_account_gets_its_role(play: Play) -> None:
    play.up(parts.ACCOUNT)
    not_refused(play, "", "UpdateAccount")


def a_stage_logs(play: Play) -> None:
    play.up(parts.stage(account=parts.ACCOUNT))


def a_route_takes_a_second_try(play: Play) -> None:
    play.up_losing_the_answer_of("CreateResource", parts.stage())


def a_route_is_given_another_function(play: Play) -> None:
    play.up(parts.stage(parts.route("/query")))
    play.reality.time.sleep(5)
    other = replace(parts.route("/query"), function=replace(parts.FUNCTION, name="other"))
    play.world.up([parts.API, other, parts.stage(other)])
