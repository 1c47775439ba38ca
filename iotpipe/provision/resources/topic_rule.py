"""AWS IoT topic rules, which put the messages of a topic into a queue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlencode

from iotpipe.provision.resource import Properties, Recorded, Resource
from iotpipe.provision.resources.iot_tags import known_tags, live_tags, retag
from iotpipe.provision.resources.queue import Queue
from iotpipe.provision.resources.role import Role
from iotpipe.provision.rights import Right, regional_arn
from iotpipe.provision.run import Run

SQL_VERSION = "2016-03-23"
"""Named in every request: AWS IoT takes a version of 2015 otherwise, which reads some payloads differently."""


@dataclass(frozen=True, eq=False)
class TopicRule(Resource):
    """Sends what `sql` selects to `queue`. A message that cannot be sent goes to `failures`, with the reason."""

    kind: ClassVar[str] = "topic-rule"
    aws_service: ClassVar[str] = "iot"
    arn_form: ClassVar[str] = r"iot:rule/(?P<name>.+)"
    rights: ClassVar[tuple[Right, ...]] = (
        Right(
            "TopicRules",
            "iot",
            (regional_arn("iot", "rule/{name}"),),
            plan="GetTopicRule ListTagsForResource",
            up="CreateTopicRule ReplaceTopicRule TagResource UntagResource",
            down="DeleteTopicRule",
        ),
        # A message with which `up` tests a new rule.
        Right("SelfTest", "iot", (regional_arn("iot", "topic/$aws/rules/{name}/*"),), up="Publish"),
        # AWS IoT denies access to a rule that does not exist: only the list tells both apart.
        Right("Anywhere", "iot", ("*",), plan="ListTopicRules GetV2LoggingOptions"),
    )

    sql: str
    description: str
    queue: Queue
    failures: Queue
    role: Role

    def arn(self, run: Run) -> str:
        return _arn(run, self.name)

    def desired(self, run: Run) -> Properties:
        return {
            "sql": self.sql,
            "awsIotSqlVersion": SQL_VERSION,
            "description": self.description,
            "ruleDisabled": False,
            "actions": [self._send_to(run, self.queue)],
            "errorAction": self._send_to(run, self.failures),
            "Tags": run.all_tags,
        }

    def read(self, run: Run) -> Properties | None:
        found = _rule(run, self.name)
        if found is None:
            return None
        return {
            "sql": found["sql"],
            "awsIotSqlVersion": found.get("awsIotSqlVersion", ""),
            "description": found.get("description", ""),
            "ruleDisabled": found.get("ruleDisabled", False),
            "actions": found.get("actions", []),
            "errorAction": found.get("errorAction", {}),
            "Tags": known_tags(run, self.arn(run)),
        }

    def create(self, run: Run, desired: Properties) -> Properties:
        run.client("iot").create_topic_rule(
            ruleName=self.name, topicRulePayload=_payload(desired), tags=urlencode(desired["Tags"])
        )
        return {}

    def update(self, run: Run, desired: Properties, observed: Properties) -> Properties:
        if _payload(desired) != _payload(observed):
            run.client("iot").replace_topic_rule(ruleName=self.name, topicRulePayload=_payload(desired))
        retag(run, self.arn(run), desired, observed)
        return {}

    @classmethod
    def delete(cls, run: Run, recorded: Recorded) -> None:
        iot = run.client("iot")
        try:
            iot.delete_topic_rule(ruleName=recorded.name)
        except iot.exceptions.UnauthorizedException:
            if _is_listed(run, recorded.name):
                raise

    @classmethod
    def tags(cls, run: Run, recorded: Recorded) -> dict[str, str] | None:
        return live_tags(run, _arn(run, recorded.name), lambda: _rule(run, recorded.name) is not None)

    def _send_to(self, run: Run, queue: Queue) -> dict[str, Any]:
        return {"sqs": {"roleArn": self.role.arn(run), "queueUrl": queue.url(run), "useBase64": False}}


def _arn(run: Run, name: str) -> str:
    return run.aws.arn("iot", f"rule/{name}")


def _payload(properties: Properties) -> dict[str, Any]:
    """What ReplaceTopicRule wants whole: it drops what it is not told."""
    return {key: value for key, value in properties.items() if key != "Tags"}


def _rule(run: Run, name: str) -> dict[str, Any] | None:
    iot = run.client("iot")
    try:
        found: dict[str, Any] = iot.get_topic_rule(ruleName=name)["rule"]
    except iot.exceptions.UnauthorizedException:
        if _is_listed(run, name):
            raise
        return None
    return found


def _is_listed(run: Run, name: str) -> bool:
    pages = run.client("iot").get_paginator("list_topic_rules").paginate()
    return any(each["ruleName"] == name for page in pages for each in page["rules"])
