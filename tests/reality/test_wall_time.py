"""How long the commands would take on AWS: within bounds, and with every second accounted for."""

from __future__ import annotations

import pytest

from tests.support.aws_rules.delays import Delays
from tests.support.aws_rules.wall_time import Estimate, estimates

pytestmark = pytest.mark.matrix


@pytest.fixture(scope="module")
def commands(moto: None, tmp_path_factory: pytest.TempPathFactory) -> list[Estimate]:
    return estimates(tmp_path_factory.mktemp("estimates"), Delays())


def test_every_second_of_a_command_is_accounted_for(commands: list[Estimate]) -> None:
    for each in commands:
        assert sum(rest.end - rest.begin for rest in each.chain) == pytest.approx(each.seconds)
        assert each.chain[0].begin == pytest.approx(each.began)
        assert all(rest.why for rest in each.chain)


def test_the_commands_take_no_longer_than_aws_makes_them(commands: list[Estimate]) -> None:
    """The bounds are virtual seconds: the same on every machine."""
    fresh, again, looked, down, after, gone, at_once = commands
    assert fresh.seconds < 15, "a table and its recovery; meanwhile IAM tells of the roles"
    for each, calls in ((again, 60), (looked, 80)):
        assert each.seconds == pytest.approx(0.4), "two reads one after the other"
        assert each.calls < calls and each.refusals == 0
    assert down.seconds < 18 and gone.seconds < 18, "the mapping takes 15 s to go"
    assert down.seconds + after.seconds < 60 + 8, "a queue's name is kept back for 60 s, and a function follows"
    assert gone.seconds + at_once.seconds < 60 + 8


def test_the_chain_names_what_waited_for_what_and_why(commands: list[Estimate]) -> None:
    fresh, at_once = commands[0], commands[-1]
    assert "create table/raw-sensor-data-dev (CreateTable 0.2; " in fresh.lines()[-1]
    assert "DynamoDB is enabling backups for the table 4.0" in fresh.lines()[-1]
    assert "create queue/iot-dlq-dev (AWS frees the name 60 s after its deletion" in at_once.lines()[2]
