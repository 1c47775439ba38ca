"""Each group's policy against everything that its commands do: nothing is denied, and nothing allowed in vain."""

from __future__ import annotations

from pathlib import Path

import pytest
from moto import mock_aws

from iotpipe.policy import GROUPS, Environment, document
from iotpipe.provision.ledger import Row
from tests.support.engine_world import declared
from tests.support.policy.calls import ACCOUNT, REGION, TRACING_ROLE
from tests.support.policy.decision import allowing
from tests.support.policy.scenes import Heard, everything_heard
from tests.support.samples.functions import BOUNDARY
from tests.support.samples.sample import KMS_KEY
from tests.support.web_acls import WEB_ACL

pytestmark = [pytest.mark.matrix, pytest.mark.together]

LOGGING_ROLE = f"arn:aws:iam::{ACCOUNT}:role/iotpipe-api-gateway-logging-{REGION}"
SHARED = {
    f"arn:aws:apigateway:{REGION}::/account": "API Gateway's settings of the account and region",
    LOGGING_ROLE: "the role with which all APIs of the account and region write logs",
    TRACING_ROLE: "API Gateway's own role, made when the first API of the account traces",
    f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm-mute-rule:quiet": "which alarms a rule mutes, only the rule tells",
}
"""What an environment may change although others have it too, and why AWS leaves no other way."""

LISTED = (
    *(
        "apigateway:GET",
        "lambda:ListTags",
        "lambda:GetEventSourceMapping",
        "lambda:ListLayers",
        "ssm:DescribeParameters",
    ),
    *("lambda:ListEventSourceMappings", "lambda:GetAccountSettings", "logs:DescribeLogGroups", "tag:GetResources"),
    *("cloudwatch:DescribeAlarms", "cloudwatch:GetAlarmMuteRule", "cloudwatch:ListAlarmMuteRules"),
    *("cloudwatch:GetMetricData", "cloudwatch:ListMetrics", "cloudwatch:ListDashboards"),
    *("cloudwatch:ListTagsForResource", "iam:ListRoles", "iam:GetRole", "iam:SimulatePrincipalPolicy"),
)
"""What an environment may look at of others: settings and names, no reading, message, value or log line."""

ALL = {"boundary": BOUNDARY, "asks_for_key": True, "kms_keys": [KMS_KEY], "web_acl": WEB_ACL}


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Heard:
    with mock_aws():
        return everything_heard(tmp_path_factory.mktemp("scenes"))


@pytest.mark.parametrize("group", GROUPS)
def test_the_policy_of_a_group_allows_all_that_its_commands_do(heard: Heard, group: str) -> None:
    made = Row("rest-api", "iot-api-dev", "ready", {"RestApiId": "abcdefghij"}) if group == "operate" else None
    policy = document(heard.environment(**ALL, recorded={made.address: made} if made else {}), [group])
    assert heard.asked[group]
    denied = {(each.action, each.resource) for each in heard.asked[group] if not allowing(policy, each)}
    assert sorted(denied) == []


@pytest.mark.parametrize("group", GROUPS)
def test_the_policy_of_a_group_allows_nothing_that_its_commands_never_do(heard: Heard, group: str) -> None:
    policy = document(heard.environment(**ALL), [group])
    asked = [*heard.asked["plan"], *heard.asked[group]]
    used = {(sid, each.action) for each in asked for sid in allowing(policy, each)}
    allowed = {(each["Sid"], action) for each in policy["Statement"] for action in each["Action"]}
    assert sorted(allowed - used) == []


def test_the_policy_of_another_environment_in_the_region_changes_and_reads_nothing_of_this_one(heard: Heard) -> None:
    """Everything that any command does to one environment, asked by who has the whole policy of another."""
    resources, _ = declared(Path(__file__).parents[2] / "config", "prod")
    api = Row("rest-api", "iot-api-prod", "ready", {"RestApiId": "zyxwvutsrq"})
    policy = document(Environment("prod", ACCOUNT, REGION, resources, {api.address: api}))
    everything = {each.action + each.resource: each for group in GROUPS for each in heard.asked[group]}
    acts = [each for each in everything.values() if "-prod" not in each.resource and each.resource not in SHARED]
    assert len(acts) > 300
    assert {each.action for each in acts if allowing(policy, each)} <= set(LISTED)
