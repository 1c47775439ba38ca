"""Additions of others to functions, layer and event sources are found and completely removed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from iotpipe.packaging import handler_zip
from tests.support.foreign.functions_world import ByHand, Pipeline, as_on_aws
from tests.support.manual_edits import arn, client, queue_url, role_arn, zipped

FUNCTION = "function/data-ingestion-dev"
MAPPING = "event-source-mapping/iot-ingestion-queue-dev-to-data-processor-dev"
LAYER = "layer/iot-shared-dependencies-dev"
KEY = arn("kms", "key/0")


def on_function(call: str, **settings: Any) -> Callable[[], Any]:
    return lambda: getattr(client("lambda"), call)(FunctionName="data-ingestion-dev", **settings)


def configured(**settings: Any) -> Callable[[], Any]:
    return on_function("update_function_configuration", **settings)


aliased = on_function("create_alias", Name="other", FunctionVersion="$LATEST")


def permitted(**statement: str) -> Callable[[], Any]:
    return on_function("add_permission", **({"StatementId": "added", "Action": "lambda:InvokeFunction"} | statement))


def on_mapping(**settings: Any) -> Callable[[], Any]:
    def act() -> None:
        queue = arn("sqs", "iot-ingestion-queue-dev")
        [found] = client("lambda").list_event_source_mappings(EventSourceArn=queue)["EventSourceMappings"]
        client("lambda").update_event_source_mapping(UUID=found["UUID"], **settings)

    return act


def fed(queue: str, function: str) -> Callable[[], Any]:
    """Create another mapping, and its queue and function if the pipeline has none of that name."""

    def act() -> None:
        if queue.startswith("other"):
            client("sqs").create_queue(QueueName=queue)
        if function == "other" and function not in {
            each["FunctionName"] for each in client("lambda").list_functions()["Functions"]
        }:
            client("lambda").create_function(
                FunctionName="other",
                Role=role_arn("iot-query-lambda-role-dev"),
                Runtime="python3.13",
                Handler="handler.lambda_handler",
                Code={"ZipFile": zipped()},
            )
        assert queue_url(queue)
        client("lambda").create_event_source_mapping(EventSourceArn=arn("sqs", queue), FunctionName=function)

    return act


def publish_layer() -> None:
    client("lambda").publish_layer_version(
        LayerName="iot-shared-dependencies-dev", Description="a try", Content={"ZipFile": zipped()}
    )


def share_layer() -> None:
    [found] = client("lambda").list_layer_versions(LayerName="iot-shared-dependencies-dev")["LayerVersions"]
    client("lambda").add_layer_version_permission(
        LayerName="iot-shared-dependencies-dev",
        VersionNumber=found["Version"],
        StatementId="shared",
        Action="lambda:GetLayerVersion",
        Principal="*",
    )


def narrow_permission() -> None:
    which = {"FunctionName": "data-ingestion-dev", "StatementId": "iotpipe-ingest"}
    [api] = client("apigateway").get_rest_apis()["items"]
    client("lambda").remove_permission(**which)
    client("lambda").add_permission(
        **which,
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=arn("execute-api", f"{api['id']}/*/POST/ingest"),
        SourceAccount="999999999999",
    )


def alias_for_anybody() -> None:
    aliased()
    permitted(Principal="*", Qualifier="other")()


VPC = {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}
MOUNT = [{"Arn": arn("elasticfilesystem", "access-point/fsap-0"), "LocalMountPath": "/mnt/x"}]
FILTER = {"Filters": [{"Pattern": '{"body": {"humidity": [{"exists": true}]}}'}]}

CHANGES = (
    ByHand(
        "a function URL for anybody",
        on_function("create_function_url_config", AuthType="NONE"),
        FUNCTION,
        "opens",
        "anybody on the internet can call data-ingestion-dev through its function URL https://",
    ),
    ByHand(
        "a function URL for whom IAM lets",
        on_function("create_function_url_config", AuthType="AWS_IAM"),
        FUNCTION,
        "alters",
        "callers that IAM allows can call data-ingestion-dev directly, past the API",
    ),
    ByHand("a permission for anybody", permitted(Principal="*"), FUNCTION, "opens", "anybody can call data-ingestion"),
    ByHand(
        "a permission for another account",
        permitted(Principal="999999999999"),
        FUNCTION,
        "opens",
        "999999999999 can call data-ingestion-dev: the statement added of its policy allows lambda:InvokeFunction",
    ),
    ByHand(
        "a permission for a service",
        permitted(Principal="s3.amazonaws.com", SourceArn="arn:aws:s3:::bucket"),
        FUNCTION,
        "opens",
        "allows lambda:InvokeFunction, if AWS:SourceArn ArnLike arn:aws:s3:::bucket",
    ),
    ByHand("a VPC", configured(VpcConfig=VPC), FUNCTION, "stops", "data-ingestion-dev runs in vpc-"),
    ByHand("a file system", configured(FileSystemConfigs=MOUNT), FUNCTION, "stops", "fsap-0 at /mnt/x"),
    ByHand("a key", configured(KMSKeyArn=KEY), FUNCTION, "stops", f"decrypt its environment with {KEY}"),
    ByHand(
        "a key of the code",
        on_function(
            "update_function_code",
            ZipFile=handler_zip("ingestion").content,
            Architectures=["arm64"],
            SourceKMSKeyArn=KEY,
        ),
        FUNCTION,
        "stops",
        f"does not start where Lambda may not decrypt its code with {KEY}",
    ),
    ByHand(
        "another log group",
        configured(LoggingConfig={"LogFormat": "Text", "LogGroup": "/other"}),
        FUNCTION,
        "hides",
        "data-ingestion-dev logs into /other: `iotpipe logs` shows nothing of it",
    ),
    ByHand(
        "a log level",
        configured(LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "ERROR", "SystemLogLevel": "INFO"}),
        FUNCTION,
        "hides",
        "data-ingestion-dev logs nothing below ERROR",
    ),
    ByHand(
        "a log in JSON",
        configured(LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO"}),
        FUNCTION,
        "alters",
        "logs in the format JSON",
    ),
    ByHand("more storage", configured(EphemeralStorage={"Size": 1024}), FUNCTION, "alters", "1024 MB in /tmp"),
    ByHand("SnapStart", configured(SnapStart={"ApplyOn": "PublishedVersions"}), FUNCTION, "alters", "SnapStart"),
    ByHand(
        "a version", on_function("publish_version"), FUNCTION, "alters", "version 1 of data-ingestion-dev can still"
    ),
    ByHand(
        "an alias",
        aliased,
        FUNCTION,
        "alters",
        "the alias other of data-ingestion-dev can be called, and leads to $LATEST",
    ),
    ByHand(
        "another source",
        fed("other-queue", "data-ingestion-dev"),
        FUNCTION,
        "opens",
        f"data-ingestion-dev processes everything that is written to {arn('sqs', 'other-queue')}",
    ),
    ByHand(
        "a condition",
        narrow_permission,
        "permission/iotpipe-ingest",
        "stops",
        'POST /ingest reaches data-ingestion-dev only where {"StringEquals AWS:SourceAccount": "999999999999"}',
    ),
    ByHand("a filter", on_mapping(FilterCriteria=FILTER), MAPPING, "drains", "humidity"),
    ByHand(
        "an encrypted filter",
        on_mapping(FilterCriteria=FILTER, KMSKeyArn=KEY),
        MAPPING,
        "drains",
        f"by a filter that is encrypted with {KEY}",
    ),
    ByHand(
        "a destination",
        on_mapping(DestinationConfig={"OnFailure": {"Destination": arn("sqs", "other")}}),
        MAPPING,
        "drains",
        f"messages that data-processor-dev cannot process go to {arn('sqs', 'other')}",
    ),
    ByHand("metrics", on_mapping(MetricsConfig={"Metrics": ["EventCount"]}), MAPPING, "alters", "EventCount"),
    ByHand(
        "pollers",
        on_mapping(ProvisionedPollerConfig={"MinimumPollers": 2, "MaximumPollers": 5}),
        MAPPING,
        "alters",
        "provisioned pollers",
    ),
    ByHand(
        "another consumer",
        fed("iot-ingestion-queue-dev", "other"),
        MAPPING,
        "drains",
        "other takes readings from iot-ingestion-queue-dev, which data-processor-dev then never sees",
    ),
    ByHand(
        "a consumer of dead letters",
        fed("iot-dlq-dev", "data-processor-dev"),
        MAPPING,
        "drains",
        "data-processor-dev takes the messages from iot-dlq-dev that somebody should look at",
    ),
    ByHand("another layer version", publish_layer, LAYER, "alters", "is not iotpipe's: a try"),
    ByHand("a layer for anybody", share_layer, LAYER, "opens", "anybody can read version 1 of iot-shared-dependencies"),
)


@pytest.fixture
def empty_account() -> None:
    """Keep the pipeline up between tests: replaces the fixture that empties the account."""


@pytest.mark.matrix
def test_a_pipeline_as_it_was_made_has_nothing_foreign(pipeline: Pipeline, kept: list[Pipeline]) -> None:
    plan, found, _ = pipeline.looked_at()
    assert not plan.pending
    assert found == []
    kept.append(pipeline)


@pytest.mark.sampled(6)
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.what)
def test_what_was_added_is_found_and_removed(change: ByHand, pipeline: Pipeline, kept: list[Pipeline]) -> None:
    change.act()
    _, [found], _ = pipeline.looked_at()
    assert (found.address, found.risk) == (change.address, change.risk)
    assert change.found in found.found

    found.remove()
    found.remove()
    plan, left, _ = pipeline.looked_at()
    assert left == []
    assert not plan.pending
    kept.append(pipeline)


@pytest.mark.matrix
@pytest.mark.parametrize("reverse", (False, True), ids=["worst first", "worst last"])
def test_an_alias_that_anybody_may_call_is_found_whatever_the_function_permits(
    reverse: bool, pipeline: Pipeline, kept: list[Pipeline]
) -> None:
    alias_for_anybody()
    _, found, _ = pipeline.looked_at()
    assert [(each.risk, each.subject) for each in found] == [
        ("opens", "statement added of other"),
        ("alters", "alias other"),
    ]
    assert found[0].found.startswith("anybody can call data-ingestion-dev:other: the statement added of its policy")

    for each in sorted(found, key=found.index, reverse=reverse):
        each.remove()
        each.remove()
    plan, left, _ = pipeline.looked_at()
    assert left == []
    assert not plan.pending
    kept.append(pipeline)


@pytest.mark.parametrize("admitted", (False, True))
def test_the_url_of_an_alias_is_judged_by_the_policy_of_the_alias(admitted: bool, pipeline: Pipeline) -> None:
    def of_the_alias(operation: str, answered: dict[str, Any]) -> None:
        as_on_aws(operation, answered)
        # moto supports URLs of functions, not of aliases.
        for each in answered.get("FunctionUrlConfigs", ()):
            each["FunctionArn"] += ":other"

    pipeline.after = of_the_alias
    aliased()
    on_function("create_function_url_config", AuthType="NONE")()
    permitted(Principal="*", **({"Qualifier": "other"} if admitted else {}))()
    _, found, _ = pipeline.looked_at()
    [url] = [each for each in found if each.subject == "function URL of other"]
    assert ("as soon as its policy admits them" in url.found) is not admitted


@pytest.mark.matrix
def test_a_version_with_an_alias_and_a_permission_of_its_own_goes_with_both(
    pipeline: Pipeline, kept: list[Pipeline]
) -> None:
    on_function("publish_version")()
    on_function("create_alias", Name="old", FunctionVersion="1")()
    permitted(Principal="999999999999", Qualifier="1")()
    _, found, _ = pipeline.looked_at()
    assert [each.subject for each in found] == ["statement added of 1", "version 1", "alias old"]
    assert found[0].found.startswith("999999999999 can call data-ingestion-dev:1")

    for each in found:
        each.remove()
    plan, left, _ = pipeline.looked_at()
    assert left == []
    assert not plan.pending
    kept.append(pipeline)
