"""What moto 5.2.5 lacks of AWS IoT: the tags of policies and rules, and what a rule that is not there answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl

from moto.core.resource_tagging import TaggedResource
from moto.core.responses import ActionResult, EmptyResult
from moto.iot.exceptions import IoTClientError, ResourceNotFoundException
from moto.iot.models import FakePolicy, FakeRule, IoTBackend, iot_backends
from moto.iot.responses import IoTResponse

_create_rule, _replace_rule = IoTResponse.create_topic_rule, IoTResponse.replace_topic_rule
_create_policy = IoTResponse.create_policy


def _denied(name: str) -> IoTClientError:
    error = IoTClientError("UnauthorizedException", f"Access to topic rule '{name}' was denied")
    error.code = 401
    return error


def _found(backend: IoTBackend, arn: str) -> FakeRule | FakePolicy:
    """The rule or policy with this ARN."""
    name = arn.rpartition("/")[2]
    things: dict[str, Any] = backend.rules if ":rule/" in arn else backend.policies
    if name not in things:
        raise ResourceNotFoundException(f"Could not find resource for ARN {arn}")
    found: FakeRule | FakePolicy = things[name]
    return found


def _tags(thing: Any) -> dict[str, str]:
    tags: dict[str, str] = vars(thing).setdefault("tags", {})
    return tags


def create_topic_rule(self: Any) -> Any:
    """CreateTopicRule drops its tags, which come as the query of a URL."""
    answer = _create_rule(self)
    _tags(self.iot_backend.rules[self._get_param("ruleName")]).update(parse_qsl(self.headers.get("x-amz-tagging", "")))
    return answer


def replace_topic_rule(self: Any) -> Any:
    """ReplaceTopicRule would lose the tags, which stay."""
    rules, name = self.iot_backend.rules, self._get_param("ruleName")
    if name not in rules:
        raise _denied(name)
    kept, made = _tags(rules[name]), rules[name].created_at
    answer = _replace_rule(self)
    _tags(rules[name]).update(kept)
    rules[name].created_at = made
    return answer


def get_topic_rule(self: Any) -> ActionResult:
    """For a rule that is not there GetTopicRule has a code that AWS has not: ResourceNotFoundException."""
    name = self._get_param("ruleName")
    if name not in self.iot_backend.rules:
        raise _denied(name)
    return ActionResult(self.iot_backend.get_topic_rule(rule_name=name))


def delete_topic_rule(self: Any) -> EmptyResult:
    """For a rule that is not there DeleteTopicRule has a code that AWS has not: ResourceNotFoundException."""
    name = self._get_param("ruleName")
    if name not in self.iot_backend.rules:
        raise _denied(name)
    self.iot_backend.delete_topic_rule(rule_name=name)
    return EmptyResult()


def create_policy(self: Any) -> Any:
    """CreatePolicy drops its tags."""
    answer = _create_policy(self)
    tags = self._get_param("tags") or []
    _tags(self.iot_backend.policies[self._get_param("policyName")]).update(
        {each["Key"]: each["Value"] for each in tags}
    )
    return answer


def list_tags_for_resource(self: Any) -> str:
    """ListTagsForResource is not there. As in ministack, a resource that does not exist has no tags."""
    try:
        tags = _tags(_found(self.iot_backend, self._get_param("resourceArn")))
    except ResourceNotFoundException:
        tags = {}
    return json.dumps({"tags": [{"Key": key, "Value": value} for key, value in tags.items()]})


def tag_of_iot(self: Any) -> str:
    """TagResource is not there."""
    tags = {each["Key"]: each["Value"] for each in self._get_param("tags")}
    _tags(_found(self.iot_backend, self._get_param("resourceArn"))).update(tags)
    return "{}"


def untag_of_iot(self: Any) -> str:
    """UntagResource is not there."""
    tags = _tags(_found(self.iot_backend, self._get_param("resourceArn")))
    for key in self._get_param("tagKeys"):
        tags.pop(key, None)
    return "{}"


def get_v2_logging_options(self: Any) -> str:
    """GetV2LoggingOptions is not there."""
    options = vars(self.iot_backend).get("logging")
    if options is None:
        error = IoTClientError("NotConfiguredException", "The resource is not configured.")
        error.code = 404
        raise error
    return json.dumps(options)


def set_v2_logging_options(self: Any) -> str:
    """SetV2LoggingOptions is not there."""
    kept = {key: self._get_param(key) for key in ("roleArn", "defaultLogLevel", "disableAllLogs")}
    vars(self.iot_backend)["logging"] = {key: value for key, value in kept.items() if value is not None}
    return "{}"


def tagged(account: str, region: str) -> Iterator[TaggedResource]:
    """GetResources knows nothing of AWS IoT."""
    backend = iot_backends[account][region]
    for rule in backend.rules.values():
        yield TaggedResource(rule.arn, _tags(rule), "iot:rule")
    for policy in backend.policies.values():
        yield TaggedResource(policy.arn, _tags(policy), "iot:policy")


PATCHES: tuple[tuple[Any, str, Callable[..., Any]], ...] = (
    (IoTResponse, "create_topic_rule", create_topic_rule),
    (IoTResponse, "replace_topic_rule", replace_topic_rule),
    (IoTResponse, "get_topic_rule", get_topic_rule),
    (IoTResponse, "delete_topic_rule", delete_topic_rule),
    (IoTResponse, "create_policy", create_policy),
    (IoTResponse, "list_tags_for_resource", list_tags_for_resource),
    (IoTResponse, "tag_resource", tag_of_iot),
    (IoTResponse, "untag_resource", untag_of_iot),
    (IoTResponse, "get_v2_logging_options", get_v2_logging_options),
    (IoTResponse, "set_v2_logging_options", set_v2_logging_options),
)
