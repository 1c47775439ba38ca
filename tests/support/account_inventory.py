"""Everything that an account holds, asked for with plain boto3: equal inventories mean equal resources."""

from __future__ import annotations

import functools
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.awsrequest import HeadersDict
from botocore.parsers import create_parser
from moto.core.models import botocore_stubber

import iotpipe.provision.resources  # noqa: F401 - registers the kinds
from iotpipe.provision.resource import Resource
from tests.support import account_versions

account_versions.watch_changes()

REGION = "us-east-1"
Things = dict[str, Any]


_region = ContextVar("region", default=REGION)


@contextmanager
def looking_at(region: str) -> Iterator[None]:
    """What is asked inside is asked in this region."""
    before = _region.set(region)
    try:
        yield
    finally:
        _region.reset(before)


def client(service: str) -> Any:
    """A client of our own: nothing that iotpipe made, hooked or cached."""
    return _client(service, _region.get())


@functools.cache
def _client(service: str, region: str) -> Any:
    made = boto3.session.Session(region_name=region).client(service)
    made.meta.events.register_first("before-send", _keep_request)
    made._make_api_call = functools.partial(_ask, made, made._make_api_call, {})
    return made


_sent = threading.local()


def _keep_request(request: Any, **call: Any) -> None:
    _sent.request = request


def _ask(made: Any, call: Callable[..., Any], requests: dict[str, Any], operation: str, parameters: Any) -> Any:
    """What botocore answers. A question that was asked before is not made into a request again: that takes longest."""
    question = f"{operation} {parameters}"
    if botocore_stubber.enabled and (request := requests.get(question)):
        status, headers, body = botocore_stubber.process_request(request)
        if status < 300:
            model = made.meta.service_model.operation_model(operation)
            parser = create_parser(made.meta.service_model.resolved_protocol)
            http = {"status_code": status, "headers": HeadersDict(headers), "body": body.encode(), "context": {}}
            parsed = parser.parse(http, model.output_shape)
            event = f"after-call.{made.meta.service_model.service_id.hyphenize()}.{operation}"
            made.meta.events.emit(event, http_response=None, parsed=parsed, model=model, context={})
            return parsed
    answer = call(operation, parameters)
    if operation.startswith(("Get", "List", "Describe")):
        requests[question] = _sent.request
    return answer


def pages(service: str, operation: str, key: str, **parameters: Any) -> list[Any]:
    """All that a listing answers, over all its pages."""
    found = client(service).get_paginator(operation).paginate(**parameters)
    return [each for page in found for each in page.get(key, [])]


def inventory() -> Things:
    """Every resource of the account with every property, but for ids drawn at random and times.

    Each random id is replaced by what it is the id of, wherever it is mentioned. What bears no unique name is
    listed, so that a second one shows.
    """
    return inventory_and(None)[0]


def inventory_and(mentioning: Any) -> tuple[Things, Any]:
    """The inventory, and what else mentions those ids, with them replaced in the same way."""
    names: dict[str, str] = {}
    texts = []
    for name, reader in _READERS.items():
        known = tuple(map(account_versions.version, reader.services))
        read = _read.__wrapped__ if None in known else _read
        text, called = read(name, _region.get(), known)
        texts.append(f"{json.dumps(name)}: {text}")
        names |= called
    listed = {kind for reader in _READERS.values() for kind in reader.kinds}
    others = [each for each in Resource.kinds.values() if each.aws_service and each.kind not in listed]
    texts += [f"{json.dumps(each.kind)}: {_text(tagged(each.kind))}" for each in others]
    text = f"[{{{', '.join(texts)}}}, {json.dumps(mentioning, default=str)}]"
    for identifier, meaning in sorted(names.items(), key=lambda each: -len(each[0])):
        text = text.replace(identifier, meaning)
    things, other = json.loads(text)
    return things, other


@functools.lru_cache(maxsize=512)
def _read(name: str, region: str, versions: tuple[int | None, ...]) -> tuple[str, dict[str, str]]:
    """What a reader finds in these versions of its services, as JSON, and what the ids in it are the ids of."""
    names: dict[str, str] = {}
    return _text(_READERS[name].read(names)), names


def _text(things: Things) -> str:
    return json.dumps(_without_times(things), default=str)


def left_over(found: Things | None = None) -> list[str]:
    """What an account holds besides the logging role of API Gateway, which every environment leaves in place."""
    found = inventory() if found is None else found
    every = [f"{kind}: {name}" for kind, things in found.items() for name in things]
    return [each for each in every if each not in (f"roles: iotpipe-api-gateway-logging-{REGION}", _ACCOUNT)]


def tagged(kind: str) -> Things:
    """What the tagging service lists of a kind: the tags of each resource, by ARN."""
    form = re.compile(Resource.kinds[kind].arn_form)
    found = pages("resourcegroupstaggingapi", "get_resources", "ResourceTagMappingList")
    return {
        arn: _sorted(each["Tags"])
        for each in found
        if form.fullmatch(re.sub(r"^arn:[^:]*:([^:]*):[^:]*:[^:]*:", r"\1:", arn := each["ResourceARN"]))
    }


_ACCOUNT = "account of API Gateway: cloudwatchRoleArn"

_TIMES = frozenset(
    {
        *("ResponseMetadata", "createdDate", "lastUpdatedDate", "creationTime", "CreationDateTime", "CreateDate"),
        *("CreatedTimestamp", "LastModifiedTimestamp", "LastModified", "LastModifiedDate", "RoleLastUsed"),
        *("AlarmConfigurationUpdatedTimestamp", "StateUpdatedTimestamp", "StateTransitionedTimestamp"),
        *("EarliestRestorableDateTime", "LatestRestorableDateTime", "TableId", "RoleId", "RevisionId", "CreatedDate"),
        *("createdAt", "createDate", "creationDate", "lastModifiedDate", "generationId"),
        *("LastUpdateToPayPerRequestDateTime", "LastUpdate", "Location", "DashboardArn"),
    }
)


def _without_times(value: Any) -> Any:
    """Without times, and the few random ids that nothing else mentions."""
    if isinstance(value, dict):
        return {key: _without_times(each) for key, each in value.items() if key not in _TIMES}
    if isinstance(value, list):
        return [_without_times(each) for each in value]
    return value


def _tables(names: dict[str, str]) -> Things:
    dynamodb = client("dynamodb")
    return {
        name: {
            **(table := dynamodb.describe_table(TableName=name)["Table"]),
            **dynamodb.describe_continuous_backups(TableName=name),
            "Tags": _sorted(dynamodb.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"]),
        }
        for name in pages("dynamodb", "list_tables", "TableNames")
    }


def _queues(names: dict[str, str]) -> Things:
    sqs = client("sqs")
    return {
        url.rsplit("/", 1)[1]: {
            **sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"],
            "Tags": sqs.list_queue_tags(QueueUrl=url).get("Tags", {}),
        }
        for url in pages("sqs", "list_queues", "QueueUrls")
    }


def _topics(names: dict[str, str]) -> Things:
    sns = client("sns")
    return {
        (arn := each["TopicArn"]).rsplit(":", 1)[1]: {
            **sns.get_topic_attributes(TopicArn=arn)["Attributes"],
            "Tags": _sorted(sns.list_tags_for_resource(ResourceArn=arn)["Tags"]),
        }
        for each in pages("sns", "list_topics", "Topics")
    }


def _subscriptions(names: dict[str, str]) -> Things:
    found = pages("sns", "list_subscriptions", "Subscriptions")
    return _numbered((f"{each['Endpoint']} to {each['TopicArn']}", each["Protocol"]) for each in found)


def _parameters(names: dict[str, str]) -> Things:
    ssm = client("ssm")
    return {
        (name := each["Name"]): {
            **each,
            "Value": ssm.get_parameter(Name=name)["Parameter"]["Value"] if each["Type"] == "String" else "secret",
            "Tags": _sorted(ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=name)["TagList"]),
        }
        for each in pages("ssm", "describe_parameters", "Parameters")
    }


def _layers(names: dict[str, str]) -> Things:
    found: list[tuple[str, Any]] = []
    for layer in pages("lambda", "list_layers", "Layers"):
        name = layer["LayerName"]
        for version in pages("lambda", "list_layer_versions", "LayerVersions", LayerName=name):
            arn, number = version["LayerVersionArn"], version.pop("Version")
            names[arn] = f"the version of {name} described as {version.get('Description', number)}"
            detail = client("lambda").get_layer_version(LayerName=name, VersionNumber=number)
            found.append((name, {**version, "CodeSha256": detail["Content"]["CodeSha256"]}))
    return _numbered(iter(found))


def _functions(names: dict[str, str]) -> Things:
    lambda_ = client("lambda")
    found = {}
    for each in pages("lambda", "list_functions", "Functions"):
        name = each["FunctionName"]
        whole = lambda_.get_function(FunctionName=name)
        found[name] = {
            **{key: whole.get(key) for key in ("Configuration", "Concurrency", "Tags")},
            "Policy": _policy_of(lambda_, name),
        }
    return found


def _policy_of(lambda_: Any, name: str) -> Any:
    try:
        policy = json.loads(lambda_.get_policy(FunctionName=name)["Policy"])
    except lambda_.exceptions.ResourceNotFoundException:
        return None
    return sorted(policy["Statement"], key=lambda each: str(each["Sid"]))


def _mappings(names: dict[str, str]) -> Things:
    found = []
    for each in pages("lambda", "list_event_source_mappings", "EventSourceMappings"):
        label = f"{each['EventSourceArn']} to {each['FunctionArn']}"
        names[each["UUID"]] = f"the mapping of {label}"
        arn = f"arn:aws:lambda:{_region.get()}:123456789012:event-source-mapping:{each['UUID']}"
        found.append((label, {**each, "Tags": client("lambda").list_tags(Resource=arn)["Tags"]}))
    return _numbered(iter(found))


def _roles(names: dict[str, str]) -> Things:
    # Two calls, where each role would take four.
    details = pages("iam", "get_account_authorization_details", "RoleDetailList", Filter=["Role"])
    more = {each["RoleName"]: each for each in pages("iam", "list_roles", "Roles")}
    names.update({each["RoleId"]: f"the id of {each['RoleName']}" for each in details})
    return {
        each["RoleName"]: {**more[each["RoleName"]], **each, "Tags": _sorted(each.get("Tags", []))} for each in details
    }


def _log_groups(names: dict[str, str]) -> Things:
    logs = client("logs")
    return {
        each["logGroupName"]: {
            **each,
            "tags": logs.list_tags_for_resource(resourceArn=each["arn"].removesuffix(":*"))["tags"],
        }
        for each in pages("logs", "describe_log_groups", "logGroups")
    }


def _apis(names: dict[str, str]) -> Things:
    found = []
    for each in pages("apigateway", "get_rest_apis", "items"):
        api, name = each["id"], each["name"]
        names[api] = f"the api {name}"
        paths = pages("apigateway", "get_resources", "items", restApiId=api, embed=["methods"])
        deployments = pages("apigateway", "get_deployments", "items", restApiId=api)
        names.update({path["id"]: f"{name} {path['path']}" for path in paths})
        described = [(made.get("description", "of others"), made) for made in deployments]
        names.update({made["id"]: f"deployment {description} of {name}" for description, made in described})
        parts = {
            "paths": _numbered((path["path"], path) for path in paths),
            "deployments": _numbered(iter(described)),
            "stages": client("apigateway").get_stages(restApiId=api)["item"],
        }
        found.append((name, {**each, **parts}))
    return _numbered(iter(found))


def _account(names: dict[str, str]) -> Things:
    gateway = client("apigateway")
    try:
        found = gateway.get_account()
    except gateway.exceptions.NotFoundException:
        return {}  # nobody has used API Gateway here yet
    return {key: arn for key, arn in found.items() if key == "cloudwatchRoleArn"}


def _alarms(names: dict[str, str]) -> Things:
    tagged = pages("resourcegroupstaggingapi", "get_resources", "ResourceTagMappingList", **_ALARMS)
    tags = {each["ResourceARN"]: _sorted(each["Tags"]) for each in tagged}
    return {
        each["AlarmName"]: {**each, "Tags": tags.get(each["AlarmArn"])}
        for each in pages("cloudwatch", "describe_alarms", "MetricAlarms")
    }


_ALARMS = {"ResourceTypeFilters": ["cloudwatch:alarm"]}


def _dashboards(names: dict[str, str]) -> Things:
    cloudwatch = client("cloudwatch")
    return {
        each["DashboardName"]: {
            "body": json.loads(cloudwatch.get_dashboard(DashboardName=each["DashboardName"])["DashboardBody"]),
            "Tags": _sorted(cloudwatch.list_tags_for_resource(ResourceARN=each["DashboardArn"])["Tags"]),
        }
        for each in pages("cloudwatch", "list_dashboards", "DashboardEntries")
    }


def _rules(names: dict[str, str]) -> Things:
    iot = client("iot")
    return {
        each["ruleName"]: {
            **iot.get_topic_rule(ruleName=each["ruleName"])["rule"],
            "Tags": _sorted(iot.list_tags_for_resource(resourceArn=each["ruleArn"])["tags"]),
        }
        for each in pages("iot", "list_topic_rules", "rules")
    }


def _iot_policies(names: dict[str, str]) -> Things:
    iot = client("iot")
    return {
        (name := each["policyName"]): {
            **iot.get_policy(policyName=name),
            "versions": iot.list_policy_versions(policyName=name)["policyVersions"],
            "targets": iot.list_targets_for_policy(policyName=name)["targets"],
            "Tags": _sorted(iot.list_tags_for_resource(resourceArn=each["policyArn"])["tags"]),
        }
        for each in pages("iot", "list_policies", "policies")
    }


def _iot_things(names: dict[str, str]) -> Things:
    iot = client("iot")
    return {
        each["thingName"]: {**each, **iot.list_thing_principals(thingName=each["thingName"])}
        for each in pages("iot", "list_things", "things")
    }


def _certificates(names: dict[str, str]) -> Things:
    return {each["certificateId"]: each["status"] for each in pages("iot", "list_certificates", "certificates")}


def _sorted(tags: list[dict[str, str]]) -> list[dict[str, str]]:
    return sorted(tags, key=lambda each: each["Key"])


def _numbered(things: Iterator[tuple[str, Any]]) -> Things:
    """By name; a second one of a name gets a number, so that it cannot hide."""
    found: Things = {}
    for name, thing in sorted(things, key=lambda each: (each[0], json.dumps(each[1], default=str, sort_keys=True))):
        number = sum(1 for each in found if each == name or each.startswith(f"{name} #"))
        found[f"{name} #{number + 1}" if number else name] = thing
    return found


@dataclass(frozen=True)
class Reader:
    """How some things are read, of which services, and which kinds of resources show in them."""

    read: Callable[[dict[str, str]], Things]
    services: tuple[str, ...]
    kinds: tuple[str, ...]


# A kind that is in none is looked for by its tags.
_READERS = {
    "tables": Reader(_tables, ("dynamodb",), ("table",)),
    "queues": Reader(_queues, ("sqs",), ("queue",)),
    "topics": Reader(_topics, ("sns",), ("topic",)),
    "subscriptions": Reader(_subscriptions, ("sns",), ("subscription",)),
    "parameters": Reader(_parameters, ("ssm",), ("parameter", "secret")),
    "layers": Reader(_layers, ("awslambda",), ("layer",)),
    "functions": Reader(_functions, ("awslambda",), ("function", "permission")),
    "event source mappings": Reader(_mappings, ("awslambda",), ("event-source-mapping",)),
    "roles": Reader(_roles, ("iam",), ("role",)),
    "log groups": Reader(_log_groups, ("logs",), ("log-group",)),
    "apis": Reader(_apis, ("apigateway",), ("rest-api", "route", "stage")),
    "account of API Gateway": Reader(_account, ("apigateway",), ("api-gateway-account",)),
    "alarms": Reader(_alarms, ("cloudwatch",), ("alarm",)),
    "dashboards": Reader(_dashboards, ("cloudwatch",), ("dashboard",)),
    "topic rules": Reader(_rules, ("iot",), ("topic-rule",)),
    "policies of AWS IoT": Reader(_iot_policies, ("iot",), ("iot-policy",)),
    "things": Reader(_iot_things, ("iot",), ()),
    "certificates": Reader(_certificates, ("iot",), ()),
}
