"""What AWS's delays could make of a command that trusts what it reads: each of these has gone wrong once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from iotpipe import target
from iotpipe.cli import session
from iotpipe.cli.options import Settings
from iotpipe.errors import ApplyFailed
from iotpipe.provision.resources.secret import Secret
from tests.support.account_inventory import client, left_over
from tests.support.aws_rules import parts
from tests.support.aws_rules.scenes import Play, late, playing


@pytest.fixture
def play(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Play]:
    """An account that is late in what the test's parameters say, and an environment in it."""
    with playing(tmp_path, late(**request.param)) as play:
        yield play


def lately(**delays: float) -> Any:
    return pytest.mark.parametrize("play", [delays], indirect=True, ids=["late"])


@lately(queue_gone=30)
def test_a_deleted_queue_that_still_answers_is_made_again(play: Play) -> None:
    play.up(parts.DEAD_LETTERS)
    play.world.down()
    play.up(parts.DEAD_LETTERS)
    assert "CreateQueue" in play.world.writes and client("sqs").list_queues()["QueueUrls"]


@lately(queue_gone=30)
def test_a_queue_that_a_killed_down_has_deleted_is_made_again_though_it_still_answers(play: Play) -> None:
    play.up(parts.DEAD_LETTERS)
    with play.killed_after("DeleteQueue"):
        play.world.down()
    play.up(parts.DEAD_LETTERS)
    play.reality.time.sleep(60)
    assert client("sqs").list_queues()["QueueUrls"]
    assert not play.world.plan([parts.DEAD_LETTERS]).pending


@lately()
def test_a_parameter_that_a_killed_down_has_deleted_is_made_again_as_soon_as_its_name_is_free(play: Play) -> None:
    play.up(parts.PARAMETER)
    with play.killed_after("DeleteParameter"):
        play.world.down()
    play.up(parts.PARAMETER)
    assert client("ssm").get_parameter(Name="/config")["Parameter"]["Value"]


@lately()
def test_what_a_killed_down_has_not_deleted_after_all_stays_and_is_changed(play: Play) -> None:
    secret, more = Secret("/api-key"), replace(parts.DEAD_LETTERS, retention=600)
    play.up(secret)
    value = _value_of(secret)
    with play.killed_before("DeleteParameter"):
        play.world.down()
    play.up(secret, parts.DEAD_LETTERS)
    with play.killed_before("DeleteQueue"):
        play.world.down()
    play.up(secret, more)
    assert _value_of(secret) == value
    assert not play.world.plan([secret, more]).pending


def _value_of(secret: Secret) -> str:
    found = client("ssm").get_parameter(Name=secret.name, WithDecryption=True)
    return str(found["Parameter"]["Value"])


@lately(queue_tags=45)
def test_what_we_made_is_ours_though_the_answer_was_lost_and_its_tags_come_late(play: Play) -> None:
    play.up_losing_the_answer_of("CreateQueue", parts.DEAD_LETTERS)
    assert "waiting for its tags to become visible" in play.world.told()
    assert play.world.rows()["queue/dead-letters"].status == "ready"


@lately(queue_tags=45)
def test_what_we_made_when_we_were_killed_is_ours_though_its_tags_come_late(play: Play) -> None:
    with play.killed_after("CreateQueue"):
        play.up(parts.DEAD_LETTERS)
    play.up(parts.DEAD_LETTERS)
    assert play.world.rows()["queue/dead-letters"].status == "ready"
    assert play.world.writes.count("CreateQueue") == 1


@lately()
def test_what_somebody_made_right_before_us_stays_theirs_after_a_minute(play: Play) -> None:
    with play.killed_before("CreateQueue"):
        play.up(parts.DEAD_LETTERS)
    play.world.hand("sqs").create_queue(QueueName="dead-letters", Attributes={})
    began = play.reality.time.now()
    with pytest.raises(ApplyFailed, match="lacks this environment's tags"):
        play.up(parts.DEAD_LETTERS)
    assert play.reality.time.now() - began > 55
    assert play.world.writes.count("TagQueue") == 0


@pytest.mark.matrix
@lately()
def test_the_logs_of_an_api_that_a_killed_down_has_deleted_do_not_stay(play: Play) -> None:
    served = parts.stage(account=parts.ACCOUNT)
    play.up(served)
    with play.killed_after("DeleteRestApi"):
        play.world.down(delete_data=True)
    play.up(served)
    play.reality.time.sleep(30)
    play.world.down(delete_data=True)
    assert not left_over()


@lately(role=5)
def test_a_function_is_given_its_role_again_when_that_was_made_anew(play: Play) -> None:
    play.up(parts.FUNCTION)
    first = play.bound_role()
    iam = play.world.hand("iam")
    iam.delete_role_policy(RoleName="worker-role", PolicyName="iotpipe")
    iam.delete_role(RoleName="worker-role")
    play.up(parts.FUNCTION)
    assert first != play.bound_role() == play.reality.iam.roles["worker-role"].identifier
    play.reality.calls.clear()
    play.up(parts.FUNCTION)
    assert not play.world.writes


@lately(unseen=3)
def test_a_mapping_that_is_not_listed_yet_is_not_waited_for_to_go(play: Play) -> None:
    play.up(parts.mapping())
    began = play.reality.time.now()
    play.up(parts.mapping())
    assert play.reality.time.now() - began < 10


@lately(role=15)
def test_a_long_wait_tells_how_long_it_still_is(play: Play) -> None:
    play.up(parts.ACCOUNT)
    told = [event.detail for event in play.world.events if event.phase == "waiting"]
    why = "waiting for IAM to propagate the logging role"
    first, again = [f"{why}: {left} s left" for left in range(10, 0, -1)], "next try in {} s"
    assert told == first + [f"{why}: {again.format(left)}" for left in range(20, 0, -1)]


@lately()
def test_a_command_takes_the_names_that_are_kept_back_from_the_state_file(play: Play, config_dir: Path) -> None:
    play.up(parts.DEAD_LETTERS)
    play.world.down()
    settings = Settings(config_dir, play.world.directory, env="dev")
    with patch.object(target, "connect", lambda *given: play.world.connect()):
        run = session.open_session(settings, "plan", lambda event: None).run
    assert list(run.deleted) == ["queue/dead-letters"]


@pytest.mark.matrix
@lately(policy=1000)
def test_a_policy_that_never_takes_effect_is_given_up_with_the_likely_reason(play: Play) -> None:
    with pytest.raises(ApplyFailed) as failed:
        play.up(parts.FUNCTION)
    [error] = failed.value.failed
    assert "call SendMessage on SQS (tried " in error.message and "permissions boundary" in error.hint
    assert 290 < play.reality.time.now() - 1_800_000_000 < 400
    assert ".." not in str(failed.value)
