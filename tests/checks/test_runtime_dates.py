"""A Python that Lambda gives up is warned of in time, and refused from the day on which Lambda refuses it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import get_args

import pytest

from iotpipe.checks import preflight, runtimes
from iotpipe.checks.finding import OK, PROBLEM, WARNING
from iotpipe.configuration.model import Functions
from iotpipe.errors import RefusedError
from tests.support.checks_world import Clinic, declare, limits, settings

OLD = "functions: {runtime: python3.11}"


def test_every_runtime_that_can_be_configured_has_its_dates() -> None:
    assert set(runtimes.SUPPORT) == set(get_args(Functions.model_fields["runtime"].annotation))
    for support in runtimes.SUPPORT.values():
        assert support.deprecated < support.create_blocked < support.update_blocked


@pytest.mark.parametrize(
    ("day", "result", "said"),
    [
        (date(2026, 6, 29), OK, "supported until 2027-06-30"),
        (date(2026, 6, 30), WARNING, "deprecated from 2027-06-30, in 365 days"),
        (date(2027, 6, 29), WARNING, "in 1 days"),
        (date(2027, 6, 30), WARNING, "no security patches since 2027-06-30"),
        (date(2027, 7, 31), PROBLEM, "no longer allows creating functions of python3.11"),
        (date(2027, 8, 31), PROBLEM, "no longer allows creating or updating functions of python3.11"),
    ],
)
def test_what_is_said_of_a_runtime_gets_graver_with_the_years(day: date, result: str, said: str) -> None:
    (found,) = runtimes.check("python3.11", day)
    assert found.result == result
    assert said in found.found
    assert result == OK or found.remedy.startswith(
        "Set functions.runtime to python3.12 (until 2028-10-31) or python3.13"
    )


def at(clinic: Clinic, day: date) -> None:
    clinic.clock.time = datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()


@pytest.mark.matrix
def test_up_is_refused_only_what_lambda_would_refuse_that_day(clinic: Clinic) -> None:
    clinic.answers["GetAccountSettings"] = limits(1000)

    def refused(text: str) -> list[str]:
        return [each.found for each in clinic.planned(declare(settings(text, clinic.directory)))[1] if each.remedy]

    at(clinic, date(2027, 7, 30))
    assert refused(OLD) == []
    at(clinic, date(2027, 7, 31))
    (said,) = refused(OLD)
    assert "no longer allows creating functions of python3.11" in said

    at(clinic, date(2027, 7, 30))
    clinic.up(declare(settings(OLD, clinic.directory)))
    changed = "functions: {runtime: python3.11, query: {memory: 512}}"
    at(clinic, date(2027, 8, 30))
    assert refused(changed) == []
    at(clinic, date(2027, 8, 31))
    (said,) = refused(changed)
    assert "no longer allows updating functions" in said
    assert refused(OLD) == [], "nothing is to be done about what is as declared"
    assert refused("functions: {runtime: python3.13}") == [], "the way out is open"


def test_the_refusal_comes_before_the_first_write(clinic: Clinic) -> None:
    at(clinic, date(2028, 1, 1))
    clinic.answers["GetAccountSettings"] = limits(10)
    _, findings, _ = clinic.planned(declare(settings(OLD, clinic.directory)))
    with pytest.raises(RefusedError) as refused:
        preflight.refuse(findings)
    assert "300 more concurrent executions" in str(refused.value), "all reasons at once"
    assert "python3.11" in str(refused.value)
    assert clinic.writes == []
