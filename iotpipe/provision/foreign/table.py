"""What others added to tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NoReturn

from botocore.exceptions import ClientError

from iotpipe.errors import RefusedError
from iotpipe.provision.foreign.finding import ALTERS, DRAINS, OPENS, STOPS, Check, CheckedResource, Foreign, is_replaced
from iotpipe.provision.foreign.statements import Document, Policy, parsed, statements
from iotpipe.provision.resource import Properties
from iotpipe.provision.resources.table import Table
from iotpipe.provision.run import Run

RECOVERABLE = 35
"""AWS's default recovery period of point-in-time recovery, in days."""

_INACTIVE = ("DISABLED", "DISABLING", "ENABLE_FAILED")


# Reads beyond DescribeTable


def _policy(run: Run, table: Table) -> Document:
    dynamodb = run.client("dynamodb")
    absent = (dynamodb.exceptions.PolicyNotFoundException, dynamodb.exceptions.ResourceNotFoundException)
    try:
        return parsed(dynamodb.get_resource_policy(ResourceArn=table.arn(run))["Policy"])
    except absent:
        return {}


def _time_to_live(run: Run, table: Table) -> dict[str, Any]:
    dynamodb = run.client("dynamodb")
    try:
        live: dict[str, Any] = dynamodb.describe_time_to_live(TableName=table.name)["TimeToLiveDescription"]
    except dynamodb.exceptions.ResourceNotFoundException:
        return {}
    return live


def _kinesis_streams(run: Run, table: Table) -> list[dict[str, Any]]:
    """Return the Kinesis streams that receive all changes."""
    dynamodb = run.client("dynamodb")
    try:
        live = dynamodb.describe_kinesis_streaming_destination(TableName=table.name)
    except dynamodb.exceptions.ResourceNotFoundException:
        return []
    streams: list[dict[str, Any]] = live.get("KinesisDataStreamDestinations", [])
    return streams


def _put_policy(run: Run, table: Table, document: Document) -> None:
    dynamodb = run.client("dynamodb")
    if statements(document):
        dynamodb.put_resource_policy(ResourceArn=table.arn(run), Policy=json.dumps(document))
    else:
        dynamodb.delete_resource_policy(ResourceArn=table.arn(run))


POLICY = Policy(
    verbs={
        "dynamodb:Query": "read from",
        "dynamodb:GetItem": "read from",
        "dynamodb:Scan": "read all of",
        "dynamodb:PutItem": "write to",
        "dynamodb:UpdateItem": "write to",
        "dynamodb:DeleteItem": "delete rows from",
        "dynamodb:DeleteTable": "delete",
    },
    needed=("dynamodb:BatchWriteItem", "dynamodb:Query"),
    read=_policy,
    write=_put_policy,
)


def _check(checked: CheckedResource) -> Iterator[Foreign]:
    yield from _replaced(checked)
    yield from POLICY.judge(checked, checked.read(_policy))
    yield from _copies(checked)
    yield from _expiry(checked)
    yield from _limits(checked)
    yield from _indexes(checked)
    yield from _other_settings(checked)


def _replaced(checked: CheckedResource) -> Iterator[Foreign]:
    table = checked.resource
    if is_replaced(checked.run, table, checked.observed):
        text = f"{table.name} is not the table that `up` created: the rows of that one are lost"
        yield checked.finding("TableId", DRAINS, text, partial(_refuse_restore, checked))


def _refuse_restore(checked: CheckedResource) -> NoReturn:
    table, region = checked.resource, checked.run.aws.region
    raise RefusedError(
        f"{table.address} is not the table that `up` created, and iotpipe cannot restore the rows of that one",
        f"If they are wanted, look for a backup with `aws dynamodb list-backups --backup-type SYSTEM --table-name "
        f"{table.name} --region {region}`. The state file records the new table from now on",
    )


def _copies(checked: CheckedResource) -> Iterator[Foreign]:
    table, live = checked.resource, checked.observed
    for each in checked.read(_kinesis_streams):
        if each.get("DestinationStatus") not in _INACTIVE:
            stream = each["StreamArn"]
            text = f"every change of {table.name} goes to {stream}: whoever may read that stream gets all rows"
            yield checked.finding(f"Kinesis stream {stream}", OPENS, text, partial(_disconnect, checked, stream))
    replicas = live.get("Replicas", [])
    for each in replicas:
        region = each["RegionName"]
        text = f"all rows of {table.name} are copied to {region}, and rows that are written there appear in this table"
        yield checked.finding(f"replica in {region}", OPENS, text, partial(_refuse_replica_deletion, table, region))
    # Replicas need the stream: it is foreign only if there is no replica.
    if _has_stream(live) and not replicas:
        text = f"every change of {table.name} can be read from its stream for 24 hours, by whoever IAM lets read that"
        remove = partial(_change, checked, _has_stream, StreamSpecification={"StreamEnabled": False})
        yield checked.finding("StreamSpecification", OPENS, text, remove)


def _expiry(checked: CheckedResource) -> Iterator[Foreign]:
    live = checked.read(_time_to_live)
    if live.get("TimeToLiveStatus") in ("ENABLED", "ENABLING"):
        attribute = live["AttributeName"]
        text = f"DynamoDB deletes rows of {checked.resource.name} at the time in their attribute {attribute}"
        yield checked.finding("TimeToLive", DRAINS, text, partial(_disable_time_to_live, checked, attribute))


def _limits(checked: CheckedResource) -> Iterator[Foreign]:
    table = checked.resource
    if limited := _throughput_limits(checked.observed):
        text = " and ".join(f"more than {units} units of {kind}" for kind, units in limited.items())
        unlimited = {"MaxReadRequestUnits": -1, "MaxWriteRequestUnits": -1}
        remove = partial(_change, checked, _throughput_limits, OnDemandThroughput=unlimited)
        yield checked.finding("OnDemandThroughput", STOPS, f"{table.name} refuses {text} per second", remove)
    if _has_kms_key(checked.observed) and "SSESpecification" not in table.desired(checked.run):
        key = checked.observed["SSEDescription"].get("KMSMasterKeyArn", "aws/dynamodb")
        text = (
            f"{table.name} is encrypted with the KMS key {key}: "
            "rows can only be stored and read as long as that key lets the functions use it"
        )
        remove = partial(_change, checked, _has_kms_key, SSESpecification={"Enabled": False})
        yield checked.finding("SSEDescription", STOPS, text, remove)


def _indexes(checked: CheckedResource) -> Iterator[Foreign]:
    for name in _index_names(checked.observed):
        text = (
            f"each row of {checked.resource.name} is written to the index {name} too: "
            "that costs another write, and an index that cannot keep up holds up the table"
        )
        drop = [{"Delete": {"IndexName": name}}]
        remove = partial(_change, checked, partial(_has_index, name), GlobalSecondaryIndexUpdates=drop)
        yield checked.finding(f"index {name}", ALTERS, text, remove)


def _other_settings(checked: CheckedResource) -> Iterator[Foreign]:
    table, live = checked.resource, checked.observed
    kept = live["PointInTimeRecoveryDescription"].get("RecoveryPeriodInDays", RECOVERABLE)
    # If recovery is declared off, `up` disables it, and the recovery period does not matter.
    if table.point_in_time_recovery and live["PointInTimeRecoveryEnabled"] and kept < RECOVERABLE:
        text = f"{table.name} can only be restored to the last {kept} days, not to the last {RECOVERABLE}"
        yield checked.finding("RecoveryPeriodInDays", ALTERS, text, partial(_extend_recovery, checked))
    if _has_other_class(live):
        text = (
            f"{table.name} is of the class {live['TableClassSummary']['TableClass']}, where reads and writes cost more"
        )
        remove = partial(_change, checked, _has_other_class, TableClass="STANDARD")
        yield checked.finding("TableClass", ALTERS, text, remove)


# Results of DescribeTable


def _has_stream(table: Properties) -> bool:
    return bool(table.get("StreamSpecification", {}).get("StreamEnabled"))


def _throughput_limits(table: Properties) -> dict[str, int]:
    """Return the limits in units per second, by kind. -1 means no limit."""
    limits = table.get("OnDemandThroughput", {})
    units = {"reads": limits.get("MaxReadRequestUnits", -1), "writes": limits.get("MaxWriteRequestUnits", -1)}
    return {kind: most for kind, most in units.items() if most > -1}


def _has_kms_key(table: Properties) -> bool:
    """Whether the table is encrypted with a KMS key. AWS does not report its default encryption."""
    return table.get("SSEDescription", {}).get("Status") in ("ENABLED", "ENABLING", "UPDATING")


def _index_names(table: Properties) -> list[str]:
    return [each["IndexName"] for each in table.get("GlobalSecondaryIndexes", []) if not _is_deleting(each)]


def _has_index(name: str, table: Properties) -> bool:
    return name in _index_names(table)


def _is_deleting(index: Properties) -> bool:
    return bool(index.get("IndexStatus") == "DELETING")


def _has_other_class(table: Properties) -> bool:
    return bool(table.get("TableClassSummary", {}).get("TableClass", "STANDARD") != "STANDARD")


# Removals


def _change(checked: CheckedResource, is_set: Callable[[Properties], Any], **settings: Any) -> None:
    """Update the table if `is_set(table)`: AWS refuses an update that changes nothing."""
    # DynamoDB accepts one change per request, and only one change of a table at a time.
    with checked.run.exclusive(f"changes of {checked.resource.address}"):
        if is_set(_wait_until_active(checked)):
            checked.run.client("dynamodb").update_table(TableName=checked.resource.name, **settings)
            _wait_until_active(checked)


def _wait_until_active(checked: CheckedResource) -> Properties:
    """Wait until the table can be updated and return it."""
    dynamodb, read = checked.run.client("dynamodb"), list[Properties]()

    def settled() -> bool:
        read.append(dynamodb.describe_table(TableName=checked.resource.name)["Table"])
        return read[-1]["TableStatus"] == "ACTIVE" and not any(
            map(_is_deleting, read[-1].get("GlobalSecondaryIndexes", []))
        )

    checked.run.until(checked.resource.address, "waiting until the table can be changed", settled)
    return read[-1]


def _disconnect(checked: CheckedResource, stream: str) -> None:
    dynamodb = checked.run.client("dynamodb")
    try:
        dynamodb.disable_kinesis_streaming_destination(TableName=checked.resource.name, StreamArn=stream)
    except dynamodb.exceptions.ResourceNotFoundException:
        return


def _refuse_replica_deletion(table: Table, region: str) -> NoReturn:
    update = json.dumps([{"Delete": {"RegionName": region}}])
    raise RefusedError(
        f"iotpipe does not delete rows without being asked: it keeps the replica of {table.name} in {region}",
        f"Delete it with `aws dynamodb update-table --table-name {table.name} --replica-updates '{update}'`",
    )


def _disable_time_to_live(checked: CheckedResource, attribute: str) -> None:
    off = {"Enabled": False, "AttributeName": attribute}
    try:
        checked.run.client("dynamodb").update_time_to_live(TableName=checked.resource.name, TimeToLiveSpecification=off)
    except ClientError as error:
        said = error.response["Error"].get("Message", "")
        if "multiple times" in said:
            hint = "DynamoDB lets it be changed once an hour: run the command again then"
            raise RefusedError(f"{checked.resource.name}: TTL cannot be switched off yet: {said}", hint) from error
        if "already disabled" not in said:
            raise


def _extend_recovery(checked: CheckedResource) -> None:
    longest = {"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": RECOVERABLE}
    checked.run.client("dynamodb").update_continuous_backups(
        TableName=checked.resource.name, PointInTimeRecoverySpecification=longest
    )


CHECK = Check(_check, (_policy, _time_to_live, _kinesis_streams))
