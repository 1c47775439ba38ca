"""AWS IoT: rules that need their role at once, one change of a rule at a time, and policies that stay attached."""

from __future__ import annotations

from typing import Any

from tests.support.aws_rules.layer import Asked, Refused, Service


class Iot(Service):
    def __init__(self, reality: Any) -> None:
        super().__init__(reality)
        self.rules: dict[str, float] = {}
        self.policies: dict[str, float] = {}
        self.detached: dict[str, float] = {}

    def _write_rule(self, asked: Asked) -> None:
        name = asked["ruleName"]
        refusal = Refused("ConflictingResourceUpdateException", "A conflicting resource update exception.", 409)
        self.alone(f"rule {name}", refusal)
        payload = asked["topicRulePayload"]
        for action in (*payload["actions"], payload["errorAction"]):
            role = action["sqs"]["roleArn"]
            if not self.reality.iam.assumable(role, "iot.amazonaws.com"):
                text = f"iot.amazonaws.com is unable to assume role (sts:AssumeRole) on resource: {role}"
                raise Refused("InvalidRequestException", text)

    def before_create_topic_rule(self, asked: Asked) -> None:
        self._write_rule(asked)

    def after_create_topic_rule(self, asked: Asked, answer: Any) -> None:
        self.rules[asked["ruleName"]] = self.now

    def before_replace_topic_rule(self, asked: Asked) -> None:
        self._write_rule(asked)

    def _unseen(self, made: dict[str, float], name: str) -> bool:
        return name in made and self.now < made[name] + self.delays.unseen

    def before_get_topic_rule(self, asked: Asked) -> None:
        name = asked["ruleName"]
        if self._unseen(self.rules, name):
            raise Refused("UnauthorizedException", f"Access to topic rule '{name}' was denied", 401)

    def after_list_topic_rules(self, asked: Asked, answer: Any) -> None:
        answer["rules"] = [each for each in answer["rules"] if not self._unseen(self.rules, each["ruleName"])]

    def after_delete_topic_rule(self, asked: Asked, answer: Any) -> None:
        self.rules.pop(asked["ruleName"], None)

    def after_create_policy(self, asked: Asked, answer: Any) -> None:
        self.policies[asked["policyName"]] = self.now

    def before_get_policy(self, asked: Asked) -> None:
        if self._unseen(self.policies, asked["policyName"]):
            text = f"The policy {asked['policyName']} does not exist"
            raise Refused("ResourceNotFoundException", text, 404)

    def after_detach_policy(self, asked: Asked, answer: Any) -> None:
        self.detached[asked["policyName"]] = self.now

    def before_delete_policy(self, asked: Asked) -> None:
        name = asked["policyName"]
        if self.now < self.detached.get(name, -1e9) + self.delays.policy_detached:
            text = f"The policy cannot be deleted as the policy is attached to one or more principals (name={name})"
            raise Refused("DeleteConflictException", text, 409)

    def after_delete_policy(self, asked: Asked, answer: Any) -> None:
        self.policies.pop(asked["policyName"], None)
