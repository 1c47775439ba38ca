"""Reservations that do not fit the account are refused before anything is made, with settings that do fit."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from iotpipe.checks import concurrency, preflight
from iotpipe.checks.finding import OK, PROBLEM, UNKNOWN, WARNING
from iotpipe.errors import RefusedError
from iotpipe.provision import apply
from iotpipe.provision.aws import Emulator
from tests.support.checks_world import Clinic, declare, limits, settings, written
from tests.support.engine_world import refusal

ASKS = "GetAccountSettings"


def test_an_account_of_ten_is_refused_with_the_numbers_and_the_settings_to_write(clinic: Clinic) -> None:
    clinic.answers[ASKS] = limits(10)
    _, findings, _ = clinic.planned(declare(settings("", clinic.directory)))
    with pytest.raises(RefusedError) as refused:
        preflight.refuse(findings)
    assert str(refused.value).splitlines() == [
        "refused, and nothing was changed:",
        "  reserved_concurrency needs 300 more concurrent executions than now (ingestion 100, processor 100, query "
        "100), and none is available: the limit is 10 concurrent executions in us-east-1, 10 of them unreserved, and "
        "AWS keeps 100 for functions without a reservation.",
        "    Set functions.ingestion.reserved_concurrency: null, functions.processor.reserved_concurrency: null, "
        "functions.query.reserved_concurrency: null and queue.maximum_concurrency: 5; or request more concurrent "
        "executions (Service Quotas, AWS Lambda, quota L-B99A9384).",
    ]
    assert clinic.writes == []


@pytest.mark.parametrize(("unreserved", "result"), [(400, OK), (399, PROBLEM)])
def test_what_others_have_reserved_counts_and_a_hundred_stay_unreserved(
    clinic: Clinic, unreserved: int, result: str
) -> None:
    clinic.answers[ASKS] = limits(1000, unreserved)
    _, findings, _ = clinic.planned(declare(settings("", clinic.directory)))
    assert [each.result for each in findings] == [result]


@pytest.mark.parametrize("limit", [10, 50, 100, 104, 106, 250, 399])
@pytest.mark.parametrize("more", ["", "functions: {processor: {reserved_concurrency: 150}}"])
def test_who_follows_the_advice_is_let_through(clinic: Clinic, limit: int, more: str) -> None:
    clinic.answers[ASKS] = limits(limit)
    _, (found,), _ = clinic.planned(declare(settings(more, clinic.directory)))
    assert found.result == PROBLEM
    advised = declare(settings(written(found.remedy), clinic.directory))
    _, findings, run = clinic.planned(advised)
    preflight.refuse(findings)
    assert {each.result for each in concurrency.check(run, advised)} == {OK}


@pytest.mark.matrix
def test_what_is_reserved_already_is_not_asked_for_and_a_raise_counts_by_what_it_adds(clinic: Clinic) -> None:
    clinic.answers[ASKS] = limits(1000)
    clinic.up(declare(settings("", clinic.directory)))
    assert clinic.planned(declare(settings("", clinic.directory)))[1] == []
    assert ASKS not in clinic.calls

    text = "functions: {query: {reserved_concurrency: 150}}"
    for unreserved, result in ((150, OK), (149, PROBLEM)):
        clinic.answers[ASKS] = limits(450, unreserved)
        _, (found,), _ = clinic.planned(declare(settings(text, clinic.directory)))
        assert found.result == result
        assert clinic.calls.count(ASKS) == 1
    assert "50 more" in found.found


def test_a_reservation_that_somebody_took_away_is_missed(clinic: Clinic) -> None:
    declared = declare(settings("", clinic.directory))
    clinic.up(declared)
    run = clinic.run("up")
    run.client("lambda").delete_function_concurrency(FunctionName="data-query-dev")
    clinic.answers[ASKS] = limits(300, 199)
    _, (found,), _ = clinic.planned(declared)
    assert found.result == PROBLEM
    assert "100 more" in found.found


def test_nothing_is_asked_where_nothing_is_to_be_reserved(clinic: Clinic) -> None:
    none = "{reserved_concurrency: null}"
    text = f"functions: {{ingestion: {none}, processor: {none}, query: {{reserved_concurrency: 0}}}}"
    assert clinic.planned(declare(settings(text, clinic.directory)))[1] == []
    assert ASKS not in clinic.calls


def test_the_question_waits_for_no_other_answer_where_the_ledger_tells_that_it_is_needed(clinic: Clinic) -> None:
    asked = threading.Event()

    def answer(params: dict[str, Any]) -> dict[str, Any]:
        asked.set()
        found = limits(1000)(params)
        assert isinstance(found, dict)
        return found

    clinic.answers[ASKS] = answer
    waited = []

    def hold_functions(operation: str, params: dict[str, Any]) -> None:
        if operation == "GetFunction":
            waited.append(asked.wait(60))

    clinic.before = hold_functions  # type: ignore[assignment] # it never answers
    clinic.planned(declare(settings("", clinic.directory)))
    assert waited == [True] * 3


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            refusal(ASKS, "AccessDeniedException", "User: ann is not authorized to perform: lambda:GetAccountSettings"),
            "The credentials need the permission for GetAccountSettings",
        ),
        (refusal(ASKS, "404", "<!doctype html>\n<html lang=en>"), "`up` continues without this check"),
    ],
)
def test_where_aws_does_not_say_up_goes_on_and_tells_why(clinic: Clinic, answer: ClientError, said: str) -> None:
    clinic.answers[ASKS] = lambda params: answer
    resources = declare(settings("", clinic.directory))
    steps, (found,), run = clinic.planned(resources)
    assert found.result == UNKNOWN
    assert said in found.remedy
    assert "\n" not in found.found
    preflight.refuse([found])
    apply.up(resources, steps, run, clinic.ledger(run))
    assert "CreateFunction" in clinic.calls


def test_an_aws_on_this_machine_has_no_limits(clinic: Clinic) -> None:
    run = clinic.run("up")
    run.aws = type(run.aws)(run.aws.session, "123456789012", "us-east-1", "", emulator=Emulator("http://127.0.0.1"))
    run.aws._clients = clinic.connect()._clients
    clinic.answers[ASKS] = limits(10)
    resources = declare(settings("", clinic.directory))
    steps, findings = preflight.planned(resources, run, {})
    assert len(steps.pending) == len(resources)
    assert not findings


def test_a_queue_that_could_take_the_whole_account_is_warned_of(clinic: Clinic, tmp_path: Path) -> None:
    none = "{reserved_concurrency: null}"
    text = f"functions: {{ingestion: {none}, processor: {none}, query: {none}}}"
    clinic.answers[ASKS] = limits(50)
    told, warned = concurrency.check(clinic.run("doctor"), declare(settings(text, tmp_path)))
    assert (told.result, warned.result) == (OK, WARNING)
    assert "80 batches processed at once" in warned.found
    assert "after 3 receives they are dead letters" in warned.found
    assert warned.remedy == "Set queue.maximum_concurrency: 25"
    eased = declare(settings(f"{text}\nqueue: {{maximum_concurrency: 25}}", tmp_path))
    assert [each.result for each in concurrency.check(clinic.run("doctor"), eased)] == [OK]


def test_the_queue_of_a_stopped_processor_is_no_part_of_the_remedy(clinic: Clinic, tmp_path: Path) -> None:
    text = "functions: {processor: {reserved_concurrency: 0}}"
    clinic.answers[ASKS] = limits(150)
    (found,) = concurrency.check(clinic.run("doctor"), declare(settings(text, tmp_path)))
    assert found.result == PROBLEM
    assert "queue.maximum_concurrency" not in found.remedy
