"""Samples of what runs: roles, log groups, layers, functions and what feeds them."""

from __future__ import annotations

import json
from typing import Any

from iotpipe.provision.resources.event_source_mapping import EventSourceMapping
from iotpipe.provision.resources.function import Function
from iotpipe.provision.resources.layer import Layer
from iotpipe.provision.resources.log_group import LogGroup
from iotpipe.provision.resources.queue import Queue
from iotpipe.provision.resources.references import UrlOf
from iotpipe.provision.resources.role import Allow, Role
from tests.support.manual_edits import (
    ACCOUNT,
    REGION,
    arn,
    as_tags,
    client,
    make_role,
    mappings,
    pairs,
    role_arn,
    sha256,
    zipped,
)
from tests.support.samples.data import a_queue
from tests.support.samples.sample import IDENTITY, KMS_KEY, OTHER_KEY, OURS, Sample, Tagging, Tampering

# Roles

BOUNDARY = "arn:aws:iam::123456789012:policy/boundary"


def _role() -> Role:
    return Role(
        "sample-role",
        service="lambda.amazonaws.com",
        may=[
            Allow("Read", ["ssm:GetParameter", "ssm:GetParameters"], on=[arn("ssm", "parameter/sample/api-key")]),
            Allow("Trace", ["xray:PutTraceSegments"]),
        ],
        boundary=BOUNDARY,
    )


def _policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


_READ = {
    "Sid": "Read",
    "Effect": "Allow",
    "Action": ["ssm:GetParameter", "ssm:GetParameters"],
    "Resource": [arn("ssm", "parameter/sample/api-key")],
}
_TRACE = {"Sid": "Trace", "Effect": "Allow", "Action": ["xray:PutTraceSegments"], "Resource": ["*"]}


def _put_role_policy(name: str, *statements: dict[str, Any]) -> None:
    client("iam").put_role_policy(RoleName="sample-role", PolicyName=name, PolicyDocument=_policy(*statements))


def _attach_policy() -> str:
    iam = client("iam")
    found: str = iam.create_policy(PolicyName="extra", PolicyDocument=_policy(_TRACE))["Policy"]["Arn"]
    iam.attach_role_policy(RoleName="sample-role", PolicyArn=found)
    return found


def _remove_role() -> None:
    client("iam").delete_role_policy(RoleName="sample-role", PolicyName="iotpipe")
    client("iam").delete_role(RoleName="sample-role")


def _make_role_with_path() -> None:
    _remove_role()
    client("iam").create_role(
        RoleName="sample-role", Path="/team/", AssumeRolePolicyDocument=_policy(_TRACE), Tags=pairs(OURS)
    )


def _trust_anybody() -> None:
    trust = {"Sid": "Assume", "Effect": "Allow", "Action": ["sts:AssumeRole"], "Principal": {"AWS": "*"}}
    client("iam").update_assume_role_policy(RoleName="sample-role", PolicyDocument=_policy(trust))


ROLE = Sample(
    lambda: _role(),
    lambda: [each["RoleName"] for each in client("iam").list_roles()["Roles"]].count("sample-role"),
    _remove_role,
    ("CreateRole", "PutRolePolicy"),
    (
        Tampering(
            "trusts anybody",
            _trust_anybody,
            (
                "AssumeRolePolicyDocument.Statement.Assume.Principal.Service",
                "AssumeRolePolicyDocument.Statement.Assume.Principal.AWS",
            ),
            ("UpdateAssumeRolePolicy",),
        ),
        Tampering(
            "may more of the same",
            lambda: _put_role_policy("iotpipe", _READ | {"Action": ["ssm:*"]}, _TRACE),
            ("Policies.iotpipe.Statement.Read.Action",),
            ("PutRolePolicy",),
        ),
        Tampering(
            "a statement less",
            lambda: _put_role_policy("iotpipe", _READ),
            tuple(f"Policies.iotpipe.Statement.Trace.{each}" for each in ("Effect", "Action", "Resource")),
            ("PutRolePolicy",),
        ),
        Tampering(
            "another inline policy",
            lambda: _put_role_policy("admin", _TRACE | {"Action": "*"}),
            (
                "Policies.admin.Version",
                *(f"Policies.admin.Statement.Trace.{each}" for each in ("Effect", "Action", "Resource")),
            ),
            ("DeleteRolePolicy",),
        ),
        Tampering(
            "no inline policy",
            lambda: client("iam").delete_role_policy(RoleName="sample-role", PolicyName="iotpipe"),
            (
                "Policies.iotpipe.Version",
                *(
                    f"Policies.iotpipe.Statement.{sid}.{each}"
                    for sid in ("Read", "Trace")
                    for each in ("Effect", "Action", "Resource")
                ),
            ),
            ("PutRolePolicy",),
        ),
        Tampering(
            "another boundary",
            lambda: client("iam").put_role_permissions_boundary(
                RoleName="sample-role", PermissionsBoundary="arn:aws:iam::aws:policy/AdministratorAccess"
            ),
            ("PermissionsBoundary",),
            ("PutRolePermissionsBoundary",),
        ),
        Tampering(
            "no boundary",
            lambda: client("iam").delete_role_permissions_boundary(RoleName="sample-role"),
            ("PermissionsBoundary",),
            ("PutRolePermissionsBoundary",),
        ),
        Tampering(
            "another description",
            lambda: client("iam").update_role_description(RoleName="sample-role", Description="by hand"),
            ("Description",),
            ("UpdateRoleDescription",),
        ),
        Tampering("a managed policy", _attach_policy, ("ManagedPolicies",), ("DetachRolePolicy",)),
    ),
    Tagging(
        lambda: as_tags(client("iam").list_role_tags(RoleName="sample-role")["Tags"]),
        lambda tags: client("iam").tag_role(RoleName="sample-role", Tags=pairs(tags)),
        lambda keys: client("iam").untag_role(RoleName="sample-role", TagKeys=keys),
        "TagRole",
        "UntagRole",
    ),
    lambda tags: make_role("sample-role", tags),
    {"Path": _make_role_with_path},
)

# Log groups

_GROUP = "/aws/lambda/sample-function"
_GROUP_ARN = arn("logs", f"log-group:{_GROUP}")


def _log_group() -> LogGroup:
    return LogGroup(_GROUP, retention=30, kms_key=KMS_KEY)


def _count_groups() -> int:
    found = client("logs").describe_log_groups(logGroupNamePrefix=_GROUP)["logGroups"]
    return [each["logGroupName"] for each in found].count(_GROUP)


LOG_GROUP = Sample(
    _log_group,
    _count_groups,
    lambda: client("logs").delete_log_group(logGroupName=_GROUP),
    ("CreateLogGroup", "PutRetentionPolicy"),
    (
        Tampering(
            "shorter",
            lambda: client("logs").put_retention_policy(logGroupName=_GROUP, retentionInDays=1),
            ("retentionInDays",),
            ("PutRetentionPolicy",),
        ),
        Tampering(
            "forever",
            lambda: client("logs").delete_retention_policy(logGroupName=_GROUP),
            ("retentionInDays",),
            ("PutRetentionPolicy",),
        ),
        Tampering(
            "not encrypted",
            lambda: client("logs").disassociate_kms_key(logGroupName=_GROUP),
            ("kmsKeyId",),
            ("AssociateKmsKey",),
        ),
    ),
    Tagging(
        lambda: client("logs").list_tags_for_resource(resourceArn=_GROUP_ARN)["tags"],
        lambda tags: client("logs").tag_resource(resourceArn=_GROUP_ARN, tags=tags),
        lambda keys: client("logs").untag_resource(resourceArn=_GROUP_ARN, tagKeys=keys),
        "TagResource",
        "UntagResource",
    ),
    lambda tags: client("logs").create_log_group(logGroupName=_GROUP, tags=tags),
)

# Layers


def a_layer() -> Layer:
    return Layer("sample-layer", "0123456789abcdef", lambda: zipped("LAYER = 1"), "python3.13", "arm64")


def _layer_versions() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client("lambda").list_layer_versions(LayerName="sample-layer")["LayerVersions"]
    return found


def _publish(description: str, runtime: str = "python3.13", architecture: str = "arm64") -> None:
    client("lambda").publish_layer_version(
        LayerName="sample-layer",
        Description=description,
        Content={"ZipFile": zipped("LAYER = 2")},
        CompatibleRuntimes=[runtime],
        CompatibleArchitectures=[architecture],
    )


def _remove_layer() -> None:
    for each in _layer_versions():
        client("lambda").delete_layer_version(LayerName="sample-layer", VersionNumber=each["Version"])


def _publish_instead() -> None:
    _remove_layer()
    _publish("iotpipe fedcba9876543210 dev")


_REPUBLISH = ("PublishLayerVersion", "DeleteLayerVersion")

LAYER = Sample(
    a_layer,
    lambda: len(_layer_versions()),
    _remove_layer,
    ("PublishLayerVersion",),
    (
        Tampering("another version instead", _publish_instead, ("Description",), _REPUBLISH),
        Tampering(
            "for another runtime",
            lambda: _publish("iotpipe 0123456789abcdef dev", runtime="python3.11"),
            ("CompatibleRuntimes",),
            (*_REPUBLISH, "DeleteLayerVersion"),
        ),
        Tampering(
            "for another architecture",
            lambda: _publish("iotpipe 0123456789abcdef dev", architecture="x86_64"),
            ("CompatibleArchitectures",),
            (*_REPUBLISH, "DeleteLayerVersion"),
        ),
    ),
)

# Functions

_CODE = zipped()
FUNCTION_ARN = arn("lambda", "function:sample-function")


def a_function(dead_letter: Queue | None = None) -> Function:
    dead_letter = dead_letter or Queue("sample-dlq", 1_209_600)
    return Function(
        "sample-function",
        handler="handler.lambda_handler",
        code=_CODE,
        code_sha256=sha256(_CODE),
        runtime="python3.13",
        architecture="arm64",
        memory=256,
        timeout=30,
        reserved_concurrency=100,
        role=_role(),
        layer=a_layer(),
        dead_letter=dead_letter,
        log_group=_log_group(),
        environment={"TABLE": "sample-table", "QUEUE": UrlOf(dead_letter)},
        kms_key=KMS_KEY,
    )


def _make_function(tags: dict[str, str], name: str = "sample-function") -> None:
    client("lambda").create_function(
        FunctionName=name,
        Role=role_arn("sample-role"),
        Runtime="python3.12",
        Handler="other.handler",
        Code={"ZipFile": zipped("OTHER = 1")},
        Tags=tags,
    )


def _configure(**changes: Any) -> None:
    client("lambda").update_function_configuration(FunctionName="sample-function", **changes)


def _configured(what: str, drifts: tuple[str, ...], **changes: Any) -> Tampering:
    return Tampering(what, lambda: _configure(**changes), drifts, ("UpdateFunctionConfiguration",))


def _configure_with_role() -> None:
    _configure(Role=make_role("another-role"))


def _change_code(text: str, architecture: str) -> None:
    content = zipped(text) if text else _CODE
    client("lambda").update_function_code(FunctionName="sample-function", ZipFile=content, Architectures=[architecture])


def _reserve(count: int) -> None:
    client("lambda").put_function_concurrency(FunctionName="sample-function", ReservedConcurrentExecutions=count)


FUNCTION = Sample(
    a_function,
    lambda: [each["FunctionName"] for each in client("lambda").list_functions()["Functions"]].count("sample-function"),
    lambda: client("lambda").delete_function(FunctionName="sample-function"),
    ("CreateFunction", "PutFunctionConcurrency"),
    (
        _configured("older runtime", ("Runtime",), Runtime="python3.11"),
        _configured("another handler", ("Handler",), Handler="evil.handler"),
        Tampering("another role", _configure_with_role, ("Role",), ("UpdateFunctionConfiguration",)),
        _configured("less memory", ("MemorySize",), MemorySize=128),
        _configured("more time", ("Timeout",), Timeout=900),
        _configured("no layer", ("Layers",), Layers=[]),
        _configured(
            "another variable",
            ("Environment.Variables.TABLE", "Environment.Variables.DEBUG"),
            Environment={
                "Variables": {
                    "TABLE": "other",
                    "DEBUG": "1",
                    "QUEUE": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/sample-dlq",
                }
            },
        ),
        _configured(
            "no variables",
            ("Environment.Variables.TABLE", "Environment.Variables.QUEUE"),
            Environment={"Variables": {}},
        ),
        _configured("no traces", ("TracingConfig.Mode",), TracingConfig={"Mode": "PassThrough"}),
        _configured("no dead letters", ("DeadLetterConfig.TargetArn",), DeadLetterConfig={"TargetArn": ""}),
        _configured("two settings at once", ("MemorySize", "Timeout"), MemorySize=128, Timeout=3),
        _configured("encrypted with another key", ("KMSKeyArn",), KMSKeyArn=OTHER_KEY),
        _configured("encrypted with AWS's own key", ("KMSKeyArn",), KMSKeyArn=""),
        Tampering("another code", lambda: _change_code("EVIL = 1", "arm64"), ("CodeSha256",), ("UpdateFunctionCode",)),
        Tampering("another CPU", lambda: _change_code("", "x86_64"), ("Architectures",), ("UpdateFunctionCode",)),
        Tampering("fewer at once", lambda: _reserve(1), ("ReservedConcurrentExecutions",), ("PutFunctionConcurrency",)),
        Tampering(
            "nothing reserved",
            lambda: client("lambda").delete_function_concurrency(FunctionName="sample-function"),
            ("ReservedConcurrentExecutions",),
            ("PutFunctionConcurrency",),
        ),
    ),
    Tagging(
        lambda: client("lambda").list_tags(Resource=FUNCTION_ARN)["Tags"],
        lambda tags: client("lambda").tag_resource(Resource=FUNCTION_ARN, Tags=tags),
        lambda keys: client("lambda").untag_resource(Resource=FUNCTION_ARN, TagKeys=keys),
        "TagResource",
        "UntagResource",
    ),
    _make_function,
    exempt={"RoleId": "Lambda does not tell which role of that name it has: only the ledger knows"},
)

# Event source mappings

_QUEUE_ARN = arn("sqs", "sample-queue")


def _mapping() -> EventSourceMapping:
    queue = a_queue()
    return EventSourceMapping("sample-queue-to-sample-function", queue, a_function(queue.dead_letter), 10, 5, 50)


def _the_mapping() -> str:
    (only,) = mappings()
    return str(only["UUID"])


def _change_mapping(**changes: Any) -> None:
    client("lambda").update_event_source_mapping(UUID=_the_mapping(), **changes)


def _mapped(what: str, drifts: str, **changes: Any) -> Tampering:
    return Tampering(what, lambda: _change_mapping(**changes), (drifts,), ("UpdateEventSourceMapping",))


def _make_mapping(tags: dict[str, str]) -> None:
    client("lambda").create_event_source_mapping(
        FunctionName="sample-function", EventSourceArn=_QUEUE_ARN, BatchSize=1, Tags=tags
    )


def _mapping_arn() -> str:
    return arn("lambda", f"event-source-mapping:{_the_mapping()}")


EVENT_SOURCE_MAPPING = Sample(
    _mapping,
    lambda: len(mappings()),
    lambda: client("lambda").delete_event_source_mapping(UUID=_the_mapping()),
    ("CreateEventSourceMapping",),
    (
        _mapped("switched off", "Enabled", Enabled=False),
        _mapped("one at a time", "BatchSize", BatchSize=1),
        _mapped("no window", "MaximumBatchingWindowInSeconds", MaximumBatchingWindowInSeconds=0),
        _mapped("whole batches", "FunctionResponseTypes", FunctionResponseTypes=[]),
        _mapped("more at once", "ScalingConfig.MaximumConcurrency", ScalingConfig={"MaximumConcurrency": 1000}),
        _mapped("no limit", "ScalingConfig.MaximumConcurrency", ScalingConfig={}),
    ),
    Tagging(
        lambda: client("lambda").list_tags(Resource=_mapping_arn())["Tags"],
        lambda tags: client("lambda").tag_resource(Resource=_mapping_arn(), Tags=tags),
        lambda keys: client("lambda").untag_resource(Resource=_mapping_arn(), TagKeys=keys),
        "TagResource",
        "UntagResource",
    ),
    _make_mapping,
    exempt={"EventSourceArn": IDENTITY, "FunctionArn": IDENTITY},
)
