"""What others added to tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NoReturn

from botocore.exceptions import ClientError

from iotpipe.errors import RefusedError
from iotpipe.provision.foreign.finding import ALTERS, DRAINS, OPENS, STOPS, Check, Foreign, Seen, made_anew
from iotpipe.provision.foreign.statements import Document, Policy, parsed, statements
from iotpipe.provision.resource import Properties
from iotpipe.provision.resources.table import Table
from iotpipe.provision.run import Run

RECOVERABLE = 35
"""Days for which AWS can restore a table by default."""

_ENDED = ("DISABLED", "DISABLING", "ENABLE_FAILED")


# What DescribeTable does not return


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
        found: dict[str, Any] = dynamodb.describe_time_to_live(TableName=table.name)["TimeToLiveDescription"]
    except dynamodb.exceptions.ResourceNotFoundException:
        return {}
    return found


def _destinations(run: Run, table: Table) -> list[dict[str, Any]]:
    """The Kinesis streams into which all changes go."""
    dynamodb = run.client("dynamodb")
    try:
        found = dynamodb.describe_kinesis_streaming_destination(TableName=table.name)
    except dynamodb.exceptions.ResourceNotFoundException:
        return []
    streams: list[dict[str, Any]] = found.get("KinesisDataStreamDestinations", [])
    return streams


def _put_policy(run: Run, table: Table, document: Document) -> None:
    dynamodb = run.client("dynamodb")
    if statements(document):
        dynamodb.put_resource_policy(ResourceArn=table.arn(run), Policy=json.dumps(document))
    else:
        dynamodb.delete_resource_policy(ResourceArn=table.arn(run))


POLICY = Policy(
    says={
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


def _judge(seen: Seen) -> Iterator[Foreign]:
    yield from _replaced(seen)
    yield from POLICY.judge(seen, seen.read(_policy))
    yield from _copies(seen)
    yield from _expiry(seen)
    yield from _limits(seen)
    yield from _indexes(seen)
    yield from _others(seen)


def _replaced(seen: Seen) -> Iterator[Foreign]:
    table = seen.resource
    if made_anew(seen.run, table, seen.observed):
        told = f"{table.name} is another table than `up` made: the rows of that one are gone from here"
        yield seen.foreign("TableId", DRAINS, told, partial(_refuse_rows, seen))


def _refuse_rows(seen: Seen) -> NoReturn:
    table, region = seen.resource, seen.run.aws.region
    raise RefusedError(
        f"{table.address} is another table than `up` made, and iotpipe cannot bring back the rows of that one",
        f"If they are wanted, look for a backup with `aws dynamodb list-backups --backup-type SYSTEM --table-name "
        f"{table.name} --region {region}`. The state file records the new table from now on",
    )


def _copies(seen: Seen) -> Iterator[Foreign]:
    table, found = seen.resource, seen.observed
    for each in seen.read(_destinations):
        if each.get("DestinationStatus") not in _ENDED:
            stream = each["StreamArn"]
            told = f"every change of {table.name} goes to {stream}: whoever may read that stream gets all rows"
            yield seen.foreign(f"Kinesis stream {stream}", OPENS, told, partial(_disconnect, seen, stream))
    replicas = found.get("Replicas", [])
    for each in replicas:
        region = each["RegionName"]
        told = f"all rows of {table.name} are copied to {region}, and what is written there comes into this table"
        yield seen.foreign(f"replica in {region}", OPENS, told, partial(_keep_replica, table, region))
    # Replicas need the stream: with replicas it is not a finding of its own.
    if _has_stream(found) and not replicas:
        told = f"every change of {table.name} can be read from its stream for 24 hours, by whoever IAM lets read that"
        remove = partial(_change, seen, _has_stream, StreamSpecification={"StreamEnabled": False})
        yield seen.foreign("StreamSpecification", OPENS, told, remove)


def _expiry(seen: Seen) -> Iterator[Foreign]:
    found = seen.read(_time_to_live)
    if found.get("TimeToLiveStatus") in ("ENABLED", "ENABLING"):
        attribute = found["AttributeName"]
        told = f"DynamoDB deletes rows of {seen.resource.name} when the time in their attribute {attribute} has come"
        yield seen.foreign("TimeToLive", DRAINS, told, partial(_keep_rows, seen, attribute))


def _limits(seen: Seen) -> Iterator[Foreign]:
    table = seen.resource
    if limited := _limited(seen.observed):
        told = " and ".join(f"more than {units} units of {kind}" for kind, units in limited.items())
        unlimited = {"MaxReadRequestUnits": -1, "MaxWriteRequestUnits": -1}
        remove = partial(_change, seen, _limited, OnDemandThroughput=unlimited)
        yield seen.foreign("OnDemandThroughput", STOPS, f"{table.name} refuses {told} per second", remove)
    if _encrypted(seen.observed) and "SSESpecification" not in table.desired(seen.run):
        key = seen.observed["SSEDescription"].get("KMSMasterKeyArn", "aws/dynamodb")
        told = (
            f"{table.name} is encrypted with the KMS key {key}: "
            "rows can only be stored and read as long as that key lets the functions use it"
        )
        remove = partial(_change, seen, _encrypted, SSESpecification={"Enabled": False})
        yield seen.foreign("SSEDescription", STOPS, told, remove)


def _indexes(seen: Seen) -> Iterator[Foreign]:
    for name in _index_names(seen.observed):
        told = (
            f"each row of {seen.resource.name} is written to the index {name} too: "
            "that costs another write, and an index that cannot keep up holds up the table"
        )
        drop = [{"Delete": {"IndexName": name}}]
        remove = partial(_change, seen, partial(_has_index, name), GlobalSecondaryIndexUpdates=drop)
        yield seen.foreign(f"index {name}", ALTERS, told, remove)


def _others(seen: Seen) -> Iterator[Foreign]:
    table, found = seen.resource, seen.observed
    kept = found["PointInTimeRecoveryDescription"].get("RecoveryPeriodInDays", RECOVERABLE)
    # Where recovery is declared off, `up` switches it off, and there is nothing to be kept for longer.
    if table.point_in_time_recovery and found["PointInTimeRecoveryEnabled"] and kept < RECOVERABLE:
        told = f"{table.name} can only be restored to the last {kept} days, not to the last {RECOVERABLE}"
        yield seen.foreign("RecoveryPeriodInDays", ALTERS, told, partial(_keep_long, seen))
    if _of_another_class(found):
        told = (
            f"{table.name} is of the class {found['TableClassSummary']['TableClass']}, where reads and writes cost more"
        )
        remove = partial(_change, seen, _of_another_class, TableClass="STANDARD")
        yield seen.foreign("TableClass", ALTERS, told, remove)


# What DescribeTable tells


def _has_stream(table: Properties) -> bool:
    return bool(table.get("StreamSpecification", {}).get("StreamEnabled"))


def _limited(table: Properties) -> dict[str, int]:
    """What is limited, and to how many units a second; -1 is AWS's word for no limit."""
    limits = table.get("OnDemandThroughput", {})
    units = {"reads": limits.get("MaxReadRequestUnits", -1), "writes": limits.get("MaxWriteRequestUnits", -1)}
    return {kind: most for kind, most in units.items() if most > -1}


def _encrypted(table: Properties) -> bool:
    """Whether a KMS key encrypts the table. DescribeTable does not return AWS's own key."""
    return table.get("SSEDescription", {}).get("Status") in ("ENABLED", "ENABLING", "UPDATING")


def _index_names(table: Properties) -> list[str]:
    return [each["IndexName"] for each in table.get("GlobalSecondaryIndexes", []) if not _going(each)]


def _has_index(name: str, table: Properties) -> bool:
    return name in _index_names(table)


def _going(index: Properties) -> bool:
    return bool(index.get("IndexStatus") == "DELETING")


def _of_another_class(table: Properties) -> bool:
    return bool(table.get("TableClassSummary", {}).get("TableClass", "STANDARD") != "STANDARD")


# Removals


def _change(seen: Seen, there: Callable[[Properties], Any], **settings: Any) -> None:
    """Change the table as long as it is `there`: AWS refuses to set what is set already."""
    # AWS makes one change of a table after the other, and each must be the only one of its request.
    with seen.run.exclusive(f"changes of {seen.resource.address}"):
        if there(_settled(seen)):
            seen.run.client("dynamodb").update_table(TableName=seen.resource.name, **settings)
            _settled(seen)


def _settled(seen: Seen) -> Properties:
    """The table, once it can be changed."""
    dynamodb, read = seen.run.client("dynamodb"), list[Properties]()

    def settled() -> bool:
        read.append(dynamodb.describe_table(TableName=seen.resource.name)["Table"])
        return read[-1]["TableStatus"] == "ACTIVE" and not any(map(_going, read[-1].get("GlobalSecondaryIndexes", [])))

    seen.run.until(seen.resource.address, "waiting until the table can be changed", settled)
    return read[-1]


def _disconnect(seen: Seen, stream: str) -> None:
    dynamodb = seen.run.client("dynamodb")
    try:
        dynamodb.disable_kinesis_streaming_destination(TableName=seen.resource.name, StreamArn=stream)
    except dynamodb.exceptions.ResourceNotFoundException:
        return


def _keep_replica(table: Table, region: str) -> NoReturn:
    update = json.dumps([{"Delete": {"RegionName": region}}])
    raise RefusedError(
        f"iotpipe deletes no rows unasked, and so not the replica of {table.name} in {region}",
        f"Delete it with `aws dynamodb update-table --table-name {table.name} --replica-updates '{update}'`",
    )


def _keep_rows(seen: Seen, attribute: str) -> None:
    off = {"Enabled": False, "AttributeName": attribute}
    try:
        seen.run.client("dynamodb").update_time_to_live(TableName=seen.resource.name, TimeToLiveSpecification=off)
    except ClientError as error:
        said = error.response["Error"].get("Message", "")
        if "multiple times" in said:
            hint = "DynamoDB lets it be changed once an hour: run the command again then"
            raise RefusedError(f"{seen.resource.name}: TTL cannot be switched off yet: {said}", hint) from error
        if "already disabled" not in said:
            raise


def _keep_long(seen: Seen) -> None:
    longest = {"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": RECOVERABLE}
    seen.run.client("dynamodb").update_continuous_backups(
        TableName=seen.resource.name, PointInTimeRecoverySpecification=longest
    )


CHECK = Check(_judge, (_policy, _time_to_live, _destinations))
