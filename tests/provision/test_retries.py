"""Errors that the retry rules cover are retried, and the reason is shown; every other error is final at once."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import exceptions
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from iotpipe.errors import ApplyFailed, CredentialsError, Interrupted, RefusedError, ResourceError
from iotpipe.provision import apply, ledger, plan
from iotpipe.provision.resource import Resource, everything
from iotpipe.provision.resources import SERVICES
from iotpipe.provision.resources.parameter import Parameter
from iotpipe.provision.resources.queue import Queue
from iotpipe.provision.resources.topic import Topic
from iotpipe.provision.retry_rules import RULES, rule_for
from iotpipe.provision.retry_schedule import RetryBudget, Rule, Schedule
from iotpipe.provision.run import Event
from iotpipe.times import seconds
from tests.support import resource_contract
from tests.support.aws_errors import FINAL, FOREVER, NOT_YET, OF_DEVICES, PASSING, Answer, Fault
from tests.support.engine_world import declared, refusal
from tests.support.manual_edits import client, queue_url
from tests.support.resource_contract import QuickWorld, brought_up, lose, untouched
from tests.support.samples.every_kind import SAMPLES
from tests.support.samples.sample import OURS


def cases(answers: tuple[Answer, ...]) -> list[Any]:
    return [pytest.param(each, id=f"{each.id} {number}") for number, each in enumerate(answers)]


def meet(answer: Answer, directory: Path, times: int) -> tuple[QuickWorld, Resource, list[Resource], Fault]:
    """A world in which AWS gives the next command this answer, that many times."""
    sample = SAMPLES[answer.kind]
    if answer.when == "create":
        with resource_contract.prepared(sample, directory) as (world, target, wanted):
            pass
    else:
        world, target, wanted = brought_up(sample, directory)
        world.parallel = 1
    if answer.tampering == "tags":
        assert sample.tagging
        sample.tagging.drop(list(OURS)[:1])
    for tampering in sample.tamperings:
        if tampering.what == answer.tampering:
            tampering.act()
    fault = answer.fault(times, world.clock.now)
    world.before = fault
    world.clock.slept.clear()
    return world, target, wanted, fault


def row(name: str, operation: str) -> Answer:
    return next(each for each in PASSING if each.row == name and each.operation == operation)


STAYING = tuple(row(*each) for each in (("L6", "CreateFunction"), ("L9", "AddPermission"), ("Q1", "CreateQueue")))


def command(world: QuickWorld, answer: Answer, wanted: list[Resource]) -> None:
    if answer.when == "delete":
        world.down(delete_data=True)
    else:
        world.up(wanted)


def told(world: QuickWorld, address: str) -> set[str]:
    return {event.detail for event in world.events if event.phase == "waiting" and event.address == address}


@pytest.mark.parametrize("answer", cases(PASSING))
def test_what_passes_is_waited_out_with_its_reason(answer: Answer, tmp_path: Path) -> None:
    world, target, wanted, fault = meet(answer, tmp_path, times=3)
    command(world, answer, wanted)
    assert len(fault.at) >= 4, "three refusals and the one that went through"
    assert any(answer.reason in each for each in told(world, target.address)), told(world, target.address)
    assert world.clock.slept
    world.before = None
    if answer.when == "delete":
        assert SAMPLES[answer.kind].count() == 0
    else:
        assert SAMPLES[answer.kind].count() == 1
        assert untouched(world.plan(wanted))


@pytest.mark.parametrize("answer", cases(STAYING))
def test_what_does_not_pass_is_given_up_and_says_how_often_and_how_long(answer: Answer, tmp_path: Path) -> None:
    world, target, wanted, _ = meet(answer, tmp_path, times=FOREVER)
    with pytest.raises(ApplyFailed) as failed:
        command(world, answer, wanted)
    (error,) = failed.value.failed
    assert isinstance(error, ResourceError)
    assert (error.address, error.code) == (target.address, answer.code)
    waited = sum(world.clock.slept)
    assert f"(tried {len(world.clock.slept) + 1} times over {waited:.0f} s)" in str(error)
    assert answer.message.strip() in str(error)
    assert 10 < waited < 1300


@pytest.mark.parametrize("answer", cases(FINAL))
def test_what_is_final_fails_at_once_with_code_message_and_hint(answer: Answer, tmp_path: Path) -> None:
    world, target, wanted, fault = meet(answer, tmp_path, times=FOREVER)
    with pytest.raises(ApplyFailed) as failed:
        command(world, answer, wanted)
    (error,) = failed.value.failed
    assert isinstance(error, ResourceError)
    assert (error.address, error.code) == (target.address, answer.code)
    assert str(error).startswith(f"cannot {answer.when} {target.address}: {answer.code}: {answer.message.rstrip('.')}")
    assert answer.reason in error.hint and bool(answer.reason) == bool(error.hint)
    assert len(fault.at) == 1 and not world.clock.slept
    assert not told(world, target.address)


# Throttled calls


def every_third(operation: str, parameters: dict[str, Any], count: Iterator[int]) -> ClientError | None:
    return refusal(operation, "TooManyRequestsException", "Too Many Requests") if next(count) % 3 == 2 else None


def test_a_stage_comes_up_though_every_third_call_is_throttled(world: QuickWorld) -> None:
    wanted = everything(SAMPLES["stage"].make())
    count = itertools.count()
    world.parallel, world.before = 1, lambda *call: every_third(*call, count)
    world.up(wanted)
    assert next(count) > len(world.writes) > 0
    assert told(world, "stage/prod") == {"throttled by AWS"}
    world.before = None
    assert untouched(world.plan(wanted))
    assert SAMPLES["stage"].count() == 1


def test_a_throttled_call_is_made_again_and_not_what_was_done_before_it(world: QuickWorld) -> None:
    wanted = everything(SAMPLES["stage"].make())
    world.before = Fault("UpdateStage", "TooManyRequestsException", "Too Many Requests", times=3)
    world.up(wanted)
    assert world.calls.count("UpdateStage") == 4
    assert [world.calls.count(each) for each in ("CreateDeployment", "CreateStage", "GetStages")] == [1, 1, 0]


def test_an_answer_whose_effect_nobody_knows_is_looked_at_before_the_next_try(world: QuickWorld) -> None:
    wanted = everything(SAMPLES["stage"].make())
    world.before = Fault("UpdateStage", "ServiceUnavailableException", "", times=1)
    world.up(wanted)
    assert world.calls.count("UpdateStage") == 2
    assert world.calls.count("GetStages") == 1, "only before the second try: a new API has no stage"


def test_pages_are_asked_for_again_like_all_else(world: QuickWorld) -> None:
    world.before = Fault("GetRestApis", "TooManyRequestsException", "Too Many Requests", times=2)
    world.plan(everything(SAMPLES["rest-api"].make()))
    assert world.calls.count("GetRestApis") == 3


def test_what_is_throttled_for_good_is_given_up_when_the_budget_of_one_call_is_spent(world: QuickWorld) -> None:
    wanted = everything(SAMPLES["rest-api"].make())
    fault = Fault("CreateRestApi", "TooManyRequestsException", "Too Many Requests", FOREVER, world.clock.now)
    world.before = fault
    began = world.clock.now()
    with pytest.raises(ApplyFailed) as failed:
        world.up(wanted)
    (error,) = failed.value.failed
    waited = world.clock.now() - began
    assert 90 <= waited < 99
    assert f"(tried {len(fault.at)} times over {waited:.0f} s)" in str(error)


@pytest.mark.parametrize("operation", ["GetRestApis", "GetStages"])
@pytest.mark.parametrize("foreign", [False, True])
def test_a_shared_answer_that_is_throttled_for_good_is_given_up_once_and_told_once(
    world: QuickWorld, operation: str, foreign: bool
) -> None:
    wanted = everything(SAMPLES["stage"].make())
    world.up(wanted)
    fault = Fault(operation, "TooManyRequestsException", "Too Many Requests", FOREVER, world.clock.now)
    world.before = fault
    began = world.clock.now()
    with pytest.raises(ApplyFailed) as failed:
        world.plan(wanted, foreign=foreign)
    (error,) = failed.value.failed
    waited = world.clock.now() - began
    assert 90 <= waited < 99
    assert f"(tried {len(fault.at)} times over {waited:.0f} s)" in str(error)


def test_a_stop_ends_the_wait_for_a_throttled_call(world: QuickWorld) -> None:
    topic = Topic("t", display_name="T")
    run = world.run()
    book = world.ledger(run)
    steps = plan.plan([topic], run, book.rows)
    run.tell = lambda event: run.stop.set() if event.phase == "waiting" else None
    world.before = Fault("CreateTopic", "Throttled", "Rate exceeded", FOREVER)
    with pytest.raises(Interrupted, match="1 resources are left"):
        apply.up([topic], steps, run, book)
    assert world.calls.count("CreateTopic") == 1 and not world.clock.slept


def test_a_throttled_call_outside_of_any_try_is_left_to_who_made_it(world: QuickWorld) -> None:
    world.before = Fault("ListTopics", "Throttled", "Rate exceeded", FOREVER)
    with pytest.raises(ClientError, match="Throttled"):
        world.connect().client("sns").list_topics()
    assert world.calls == ["ListTopics"]


# Permissions on a new API


@pytest.mark.parametrize("operation", ["CreateResource", "PutIntegration", "CreateDeployment", "UpdateStage"])
def test_the_rights_on_a_new_api_may_come_a_little_later_than_the_api(world: QuickWorld, operation: str) -> None:
    wanted = everything(SAMPLES["stage"].make())
    world.before = Fault(operation, "AccessDeniedException", NOT_YET.format("POST"), times=3)
    world.up(wanted)
    assert any("waiting until AWS lets the new API be changed" in each.detail for each in world.events)
    world.before = None
    assert untouched(world.plan(wanted))


def test_who_may_not_change_a_new_api_is_told_so_after_half_a_minute(world: QuickWorld) -> None:
    wanted = everything(SAMPLES["route"].make())
    world.parallel = 1
    world.before = Fault("CreateResource", "AccessDeniedException", NOT_YET.format("POST"), FOREVER)
    with pytest.raises(ApplyFailed) as failed:
        world.up(wanted)
    (error,) = failed.value.failed
    assert "permission for CreateResource" in error.hint
    assert 30 <= sum(world.clock.slept) < 33


def test_what_somebody_forbids_on_a_new_api_is_final(world: QuickWorld) -> None:
    wanted = everything(SAMPLES["route"].make())
    denied = "User: x is not authorized to perform: apigateway:POST with an explicit deny in a service control policy"
    world.parallel, world.before = 1, Fault("CreateResource", "AccessDeniedException", denied, FOREVER)
    with pytest.raises(ApplyFailed, match="service control policy"):
        world.up(wanted)
    assert not world.clock.slept


# Retry intervals


def spacing(times: list[float]) -> list[float]:
    return [after - before for before, after in itertools.pairwise(times)]


def test_iam_is_asked_densely_as_a_late_question_costs_more_than_an_early_one(tmp_path: Path) -> None:
    world, _, wanted, fault = meet(row("L1", "CreateFunction"), tmp_path, times=6)
    world.up(wanted)
    assert spacing(fault.at) == [0.25, 0.5, 1, 2, 2, 2]


def test_the_account_is_updated_no_more_often_than_its_quota_allows(tmp_path: Path) -> None:
    for answer in PASSING:
        if answer.operation == "UpdateAccount":
            world, _, wanted, fault = meet(answer, tmp_path, times=4)
            world.up(wanted)
            assert min(spacing(fault.at)) >= 20
            if answer.code == "TooManyRequestsException":
                calls = [call for call in world.calls if call in ("GetAccount", "GetRole", "UpdateAccount")]
                began = calls.index("UpdateAccount")
                assert calls[began : began + 5] == ["UpdateAccount"] * 5, "it is not read again what was there"
            world.before = None
            SAMPLES[answer.kind].remove()


def test_an_api_is_deleted_no_more_often_than_its_quota_allows(tmp_path: Path) -> None:
    world, _, _, fault = meet(row("A1", "DeleteRestApi"), tmp_path, times=3)
    world.down()
    assert min(spacing(fault.at)) > 30


def test_continuous_backups_may_take_minutes(tmp_path: Path) -> None:
    world, _, wanted, _ = meet(row("D3", "UpdateContinuousBackups"), tmp_path, times=30)
    world.up(wanted)
    assert world.clock.slept == [2] * 30


def test_a_mapping_whose_predecessor_is_still_being_deleted_is_waited_for(tmp_path: Path) -> None:
    answer = row("E3", "CreateEventSourceMapping")
    world, _, wanted, fault = meet(answer, tmp_path, times=FOREVER)
    began = world.clock.now()

    def until_it_is_gone(operation: str, parameters: dict[str, Any]) -> ClientError | None:
        return fault(operation, parameters) if world.clock.now() - began < 120 else None

    world.before = until_it_is_gone
    world.up(wanted)
    assert SAMPLES["event-source-mapping"].count() == 1


# Names that AWS reserves after a deletion


def test_a_queue_that_was_just_deleted_is_waited_for_with_a_countdown(world: QuickWorld) -> None:
    queue, topic = Queue("q", retention=60), Topic("t", display_name="T")
    world.up([queue, topic])
    world.down()
    deleted = world.clock.now()
    contents = ledger.read(world.path)
    assert contents and seconds(contents.deleted["queue/q"]) == deleted
    world.clock.time += 18
    fault = Fault("CreateQueue", "never", "", 0, world.clock.now)
    world.before = fault
    world.up([queue, topic])
    assert fault.at == [deleted + 60]
    countdown = [event.detail for event in world.events if event.phase == "waiting"]
    assert countdown[0] == "AWS frees the name 60 s after its deletion: 42 s left"
    assert countdown[-1].endswith(": 1 s left") and len(countdown) == 42
    assert not world.plan([queue, topic]).pending


def test_a_name_given_up_in_the_future_is_kept_back_no_longer_than_one_given_up_now(world: QuickWorld) -> None:
    queue, topic = Queue("q", retention=60), Topic("t", display_name="T")
    world.clock.time += 86_400
    world.up([queue, topic])
    world.down()
    world.clock.time -= 86_400
    began = world.clock.now()
    world.up([queue, topic])
    assert world.clock.now() - began == 60
    assert untouched(world.plan([queue, topic]))


def test_nothing_else_waits_for_a_name_that_is_kept_back(world: QuickWorld) -> None:
    queue, topic = Queue("q", retention=60), Topic("t", display_name="T")
    world.up([queue, topic])
    world.down()
    world.parallel = 2
    made = threading.Event()
    really = world.clock.sleep

    def sleep(length: float, stop: threading.Event) -> None:
        assert made.wait(timeout=30), "the topic is made while the queue waits"
        really(length, stop)

    world.clock.sleep = sleep  # type: ignore[method-assign]
    world.after = lambda operation, answer: made.set() if operation == "CreateTopic" else None
    world.up([queue, topic])
    order = [call for call in world.writes if call.startswith("Create")]
    assert order == ["CreateTopic", "CreateQueue"]


def test_without_the_note_the_refusal_of_aws_is_waited_out(world: QuickWorld) -> None:
    queue = Queue("q", retention=60)
    world.up([queue])
    world.down()
    deleted = world.clock.now()
    world.path.unlink()
    fault = Answer("Q1", "queue", "CreateQueue", "QueueDeletedRecently", "You must wait 60 seconds").fault(FOREVER)

    def until_a_minute_is_over(operation: str, parameters: dict[str, Any]) -> ClientError | None:
        return fault(operation, parameters) if world.clock.now() - deleted < 60 else None

    world.before = until_a_minute_is_over
    world.up([queue])
    assert 60 <= world.clock.now() - deleted <= 64
    assert client("sqs").list_queues()["QueueUrls"]


def test_a_parameter_waits_for_its_own_shorter_time(world: QuickWorld) -> None:
    parameter = Parameter("/p", {"a": 1})
    world.up([parameter])
    world.down()
    deleted = world.clock.now()
    world.up([parameter])
    assert world.clock.now() - deleted == 30


def test_a_stop_ends_the_wait_for_a_name(world: QuickWorld) -> None:
    queue = Queue("q", retention=60)
    world.up([queue])
    world.down()
    run = world.run()
    book = world.ledger(run)
    steps = plan.plan([queue], run, book.rows)
    run.tell = lambda event: run.stop.set() if event.phase == "waiting" else None
    with pytest.raises(Interrupted, match="1 resources are left"):
        apply.up([queue], steps, run, book)
    assert not world.writes


# Credentials


@pytest.mark.matrix
def test_credentials_that_expire_meanwhile_are_one_error_and_what_was_done_is_recorded(
    world: QuickWorld, config_dir: Path
) -> None:
    wanted, tags = declared(config_dir)
    count = [0]
    refused = []

    def expire(operation: str, parameters: dict[str, Any]) -> ClientError | None:
        count[0] += not operation.startswith(("Get", "List", "Describe"))
        if count[0] > 12:
            refused.append(operation)
            return refusal(operation, "ExpiredToken", "The security token included in the request is expired")
        return None

    world.before = expire
    with pytest.raises(CredentialsError) as expired:
        world.up(wanted, tags=tags)
    assert str(expired.value).count("ExpiredToken") == 1
    assert "iotpipe up" in expired.value.hint
    assert len(refused) <= world.parallel, "what ran may find out by itself, and nothing else is tried"
    contents = ledger.read(world.path)
    assert contents
    ready = [row for row in contents.rows.values() if row.status == "ready"]
    assert 3 <= len(ready) < len(wanted)
    world.before = None
    world.up(wanted, tags=tags)
    assert untouched(world.plan(wanted, tags=tags))
    world.down(delete_data=True)


def test_credentials_that_expire_end_what_others_wait_for(world: QuickWorld) -> None:
    kept_back, tried = Queue("kept-back", retention=60), Queue("tried", retention=60)
    world.up([kept_back])
    world.down()
    run = world.run()
    book = world.ledger(run)
    steps = plan.plan([kept_back, tried], run, book.rows)
    waits = threading.Event()

    def expire(operation: str, parameters: dict[str, Any]) -> ClientError:
        assert waits.wait(60)
        return refusal(operation, "ExpiredToken", "The security token included in the request is expired")

    def tell(event: Event) -> None:
        if event.phase == "waiting" and not waits.is_set():
            waits.set()
            assert run.stop.wait(60)

    world.before, run.tell = expire, tell
    with pytest.raises(CredentialsError, match="ExpiredToken"):
        apply.up([kept_back, tried], steps, run, book)
    assert waits.is_set()
    assert not world.clock.slept, "the name's minute would have been waited for in vain"


@pytest.mark.parametrize(
    "error",
    [
        exceptions.UnauthorizedSSOTokenError(),
        exceptions.SSOTokenLoadError(error_msg="Token for x does not exist"),
        exceptions.TokenRetrievalError(provider="sso", error_msg="Token has expired and refresh failed"),
        exceptions.CredentialRetrievalError(provider="process", error_msg="no"),
        exceptions.NoCredentialsError(),
        exceptions.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_credentials_that_this_machine_cannot_renew_are_one_error_too(world: QuickWorld, error: Exception) -> None:
    def fail(operation: str, parameters: dict[str, Any]) -> None:
        raise error

    queues = [Queue(f"q{number}", retention=60) for number in range(5)]
    world.connect()
    world.before = fail
    with pytest.raises(CredentialsError) as expired:
        world.plan(queues)
    assert str(error) in str(expired.value)
    assert not world.clock.slept


# Errors in botocore's service models


def passing_errors() -> Iterator[tuple[str, str, int]]:
    """Every error that the service models mark as throttling or as a failure of the service."""
    session = botocore.session.get_session()
    for service in SERVICES:
        model = session.get_service_model(service)
        for name in model.shape_names:
            shape = model.shape_for(name)
            if not shape.metadata.get("exception"):
                continue
            told_by = shape.metadata.get("error", {})
            status = told_by.get("httpStatusCode", 400)
            throttled = "hrottl" in name or "TooManyRequests" in name or status == 429
            if (throttled and "Kms" not in name and "KMS" not in name) or status in (500, 503, 504):
                yield service, told_by.get("code", name), status


@pytest.mark.parametrize(("service", "code", "status"), sorted(set(passing_errors())))
def test_every_service_may_throttle_or_fail_in_its_own_words(service: str, code: str, status: int) -> None:
    answer = {"Error": {"Code": code, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": status}}
    assert rule_for(ClientError(answer, "DescribeThings"))  # type: ignore[arg-type] # what botocore has read


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_an_answer_without_a_known_code_is_judged_by_its_status(status: int) -> None:
    for code in ("", "Unheard-of", str(status)):
        answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
        assert rule_for(ClientError(answer, "DescribeThings"))  # type: ignore[arg-type] # what botocore has read


@pytest.mark.parametrize("status", [400, 403, 404, 409, 501])
def test_any_other_answer_without_a_known_code_is_final(status: int) -> None:
    answer = {"Error": {"Code": "Unheard-of", "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": status}}
    assert rule_for(ClientError(answer, "DescribeThings")) is None  # type: ignore[arg-type] # what botocore has read


@pytest.mark.parametrize(
    "error",
    [
        exceptions.ConnectTimeoutError(endpoint_url="https://aws.example"),
        exceptions.ReadTimeoutError(endpoint_url="https://aws.example"),
        exceptions.EndpointConnectionError(endpoint_url="https://aws.example"),
        exceptions.ConnectionClosedError(endpoint_url="https://aws.example"),
        ResponseParserError("invalid XML received:\nb'<!doctype html> ... the page of a proxy'"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_broken_connection_is_tried_again_after_reading_what_there_is(world: QuickWorld, error: Exception) -> None:
    failures = [2]

    def fail(operation: str, parameters: dict[str, Any]) -> None:
        if operation == "CreateQueue" and failures[0]:
            failures[0] -= 1
            raise error

    world.connect()
    world.before = fail
    world.up([Queue("q", retention=60)])
    assert world.calls.count("GetQueueAttributes") == 3, "the plan's, and one before each further try"
    assert world.calls.count("CreateQueue") == 3


def test_a_connection_that_stays_broken_is_given_up_with_a_hint(world: QuickWorld) -> None:
    def fail(operation: str, parameters: dict[str, Any]) -> None:
        if operation == "CreateQueue":
            raise exceptions.EndpointConnectionError(endpoint_url="https://aws.example")

    world.connect()
    world.before = fail
    with pytest.raises(ApplyFailed, match=r"tried \d+ times over \d+ s") as failed:
        world.up([Queue("q", retention=60)])
    assert "network" in failed.value.failed[0].hint


def test_a_request_that_cannot_be_sent_is_no_matter_of_the_network(world: QuickWorld) -> None:
    with pytest.raises(ApplyFailed) as failed:
        world.up([Queue("q", retention=60), Topic("", display_name="T")])
    assert "network" not in failed.value.failed[0].hint


# The retry rules themselves


def test_every_row_of_the_table_is_met_by_an_answer() -> None:
    met = {rule_for(refusal(each.operation, each.code, each.message)) for each in (*PASSING, *OF_DEVICES)}
    denied = rule_for(refusal("CreateResource", "AccessDeniedException", NOT_YET), in_new_api=True)
    assert met | {denied} == set(RULES) and denied not in met


def waits(rule: Rule, took: float = 0.0) -> list[float]:
    """The pauses of an operation of which every attempt fails with this error after `took` seconds."""
    budget, now, found = RetryBudget(), 1_800_000_000.0, []
    while (wait := budget.delay(rule, now := now + took)) is not None:
        found.append(wait)
        now += wait
    return found


def test_every_schedule_waits_and_ends() -> None:
    for rule in RULES:
        found = waits(rule)
        assert rule.schedule.budget * 0.4 <= sum(found) <= rule.schedule.budget + max(rule.schedule.delays)
        assert all(wait > 0 for wait in found[1:])


def test_a_schedule_goes_on_with_its_last_delay_until_its_budget_is_spent() -> None:
    assert waits(Rule("", Schedule((0, 1, 2), budget=7), ())) == [0, 1, 2, 2, 2]


def test_no_two_who_were_throttled_come_back_at_the_same_moment() -> None:
    throttled = next(rule for rule in RULES if rule.reason == "throttled by AWS")
    assert waits(throttled)[:4] != waits(throttled)[:4]


def test_what_the_tries_take_counts_like_the_pauses() -> None:
    for rule in RULES:
        found = waits(rule, took=80)
        assert sum(found) + 80 * len(found) < rule.schedule.budget + 80 + max(rule.schedule.delays)
        assert found, "there is always one retry, however long the first attempt took"


def test_each_row_has_a_budget_of_its_own() -> None:
    first, second = (Rule(name, Schedule((2,), budget=10), ()) for name in ("first", "second"))
    budget = RetryBudget()
    assert budget.delay(first, 0) == 2
    assert budget.delay(second, 100) == 2, "the time of failures that other rules cover does not count"
    assert budget.delay(first, 105) == 2
    assert budget.delay(first, 107) == 2
    assert budget.delay(second, 114) == 2
    assert budget.delay(first, 117) is None


@pytest.mark.parametrize(
    ("operation", "error", "budget"),
    [
        ("DescribeTable", refusal("DescribeTable", "ServiceUnavailable", ""), 90),
        ("DescribeTable", exceptions.ReadTimeoutError(endpoint_url="https://aws.example"), 30),
    ],
)
def test_a_service_that_takes_80_s_for_each_answer_is_given_up_in_time(
    world: QuickWorld, operation: str, error: Exception, budget: float
) -> None:
    run = world.run()
    began = world.clock.now()

    def attempt(number: int) -> None:
        world.clock.time += 80
        raise error

    with pytest.raises(ResourceError, match=r"tried [23] times"):
        run.with_retries("read", "table/t", attempt)
    assert world.clock.now() - began < 80 + budget + 80


# Effects of one failure on other resources


def test_a_failure_stops_only_what_depends_on_it_and_one_report_names_both(world: QuickWorld) -> None:
    wanted = [*everything(SAMPLES["stage"].make()), *everything(SAMPLES["alarm"].make())]
    full = Fault("CreateLogGroup", "LimitExceededException", "Resource limit exceeded.", FOREVER)

    def of_the_function(operation: str, request: dict[str, Any]) -> ClientError | None:
        return full(operation, request) if "/aws/lambda/sample-function" in str(request["body"]) else None

    world.before = of_the_function
    with pytest.raises(ApplyFailed) as failed:
        world.up(wanted)
    assert "log-group//aws/lambda/sample-function" in str(failed.value) and "limit exceeded" in str(failed.value)
    assert failed.value.skipped == ("function/sample-function",)
    assert SAMPLES["alarm"].count() == SAMPLES["stage"].count() == 1, "neither needs the log group"
    world.before = None
    world.up(wanted)
    assert untouched(world.plan(wanted))


def test_orphans_stay_when_something_failed(world: QuickWorld) -> None:
    world.up([Queue("old", retention=60)])
    world.before = Fault("CreateTopic", "AuthorizationError", "no", FOREVER)
    with pytest.raises(ApplyFailed):
        world.up([Topic("t", display_name="T")])
    assert queue_url("old")
    assert "DeleteQueue" not in world.calls


# Tags that become visible late


def test_what_we_made_is_not_lost_when_its_tags_are_not_seen_yet(world: QuickWorld) -> None:
    """SQS may show a new queue's tags a minute late: after a lost response, the queue looks like another owner's."""
    queue = Queue("q", retention=60)
    world.after = lambda operation, answer: lose() if operation == "CreateQueue" else hide(operation, answer)

    def hide(operation: str, answer: Any) -> None:
        if operation == "ListQueueTags":
            answer.pop("Tags", None)

    with pytest.raises((ApplyFailed, RefusedError)):
        world.up([queue])
    world.after = None
    assert client("sqs").list_queue_tags(QueueUrl=queue_url("q"))["Tags"] == OURS
    world.down()
    assert not client("sqs").list_queues().get("QueueUrls")
