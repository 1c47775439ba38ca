"""How long the commands would take on AWS: within bounds, and with every second accounted for."""

from __future__ import annotations

import pytest
from reality_delays import Delays
from wall_time import Estimate, estimates


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
    fresh, again, down, after, gone, at_once, _, logging = commands
    assert fresh.seconds < 23, "the account's logging role: refused at first, and only asked for once in 20 s"
    assert logging.seconds < 16, "IAM tells of the functions' roles"
    assert again.seconds < 1 and again.refusals == 0, "four reads one after the other"
    assert down.seconds < 17 and gone.seconds < 17, "the mapping takes 15 s to go"
    assert down.seconds + after.seconds < 60 + 8, "a queue's name is kept back for 60 s, and a function follows"
    assert gone.seconds + at_once.seconds < 60 + 8


def test_the_chain_names_what_waited_for_what_and_why(commands: list[Estimate]) -> None:
    fresh, at_once = commands[0], commands[5]
    text = "\n".join(fresh.lines())
    assert (
        "create api-gateway-account/us-east-1" in text and "waiting for IAM to propagate the logging role 20.0" in text
    )
    assert "\n  at 21.6 s,  0.8 s: create stage/dev (" in text
    assert "create queue/iot-dlq-dev (AWS lets a name be reused after 60 s" in "\n".join(at_once.lines())
