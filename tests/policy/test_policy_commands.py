"""Each group's policy against everything that its commands do: nothing is denied, and nothing allowed in vain."""

from __future__ import annotations

import pytest
from moto import mock_aws
from policy_judge import allowing
from policy_scenes import Heard, everything_heard
from samples_lambda import BOUNDARY

from iotpipe.policy import GROUPS, document


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Heard:
    with mock_aws():
        return everything_heard(tmp_path_factory.mktemp("scenes"))


@pytest.mark.parametrize("group", GROUPS)
def test_the_policy_of_a_group_allows_all_that_its_commands_do(heard: Heard, group: str) -> None:
    policy = document(heard.environment(boundary=BOUNDARY, asks_for_key=True), [group])
    assert heard.asked[group]
    denied = {(each.action, each.resource) for each in heard.asked[group] if not allowing(policy, each)}
    assert sorted(denied) == []


@pytest.mark.parametrize("group", GROUPS)
def test_the_policy_of_a_group_allows_nothing_that_its_commands_never_do(heard: Heard, group: str) -> None:
    policy = document(heard.environment(boundary=BOUNDARY, asks_for_key=True), [group])
    asked = [*heard.asked["plan"], *heard.asked[group]]
    used = {(sid, each.action) for each in asked for sid in allowing(policy, each)}
    allowed = {(each["Sid"], action) for each in policy["Statement"] for action in each["Action"]}
    assert sorted(allowed - used) == []
