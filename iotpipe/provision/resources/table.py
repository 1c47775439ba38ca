"""DynamoDB tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from iotpipe.provision.resource import DATA, Properties, Recorded, Resource, optional, tag_changes, tag_dict, tag_list
from iotpipe.provision.rights import Right, regional_arn, use_key
from iotpipe.provision.run import Run


def _backups(run: Run, table: Table) -> dict[str, Any]:
    found: dict[str, Any] = run.client("dynamodb").describe_continuous_backups(TableName=table.name)
    backups: dict[str, Any] = found["ContinuousBackupsDescription"]
    return backups


def _its_tags(run: Run, table: Table) -> dict[str, str]:
    return _tags(run, table.arn(run))


_ARN = (regional_arn("dynamodb", "table/{name}"),)


@dataclass(frozen=True, eq=False)
class Table(Resource):
    """An on-demand table with one hash and one range key, each as (attribute, type).

    `kms_key` is the ARN of the KMS key that encrypts it; None leaves that to a key of AWS's own.
    """

    kind: ClassVar[str] = "table"
    aws_service: ClassVar[str] = "dynamodb"
    immutable: ClassVar[frozenset[str]] = frozenset({"KeySchema", "AttributeDefinitions"})
    assigned: ClassVar[tuple[str, ...]] = ("TableId",)
    identity: ClassVar[tuple[str, ...]] = ("TableId",)
    arn_form: ClassVar[str] = r"dynamodb:table/(?P<name>[^/]+)"
    holds: ClassVar[str] = DATA
    extra_reads: ClassVar = (_backups, _its_tags)
    rights: ClassVar[tuple[Right, ...]] = (
        Right(
            "Tables",
            "dynamodb",
            _ARN,
            plan="DescribeTable DescribeContinuousBackups ListTagsOfResource"
            " GetResourcePolicy DescribeTimeToLive DescribeKinesisStreamingDestination",
            up="CreateTable UpdateTable UpdateContinuousBackups TagResource UntagResource"
            " PutResourcePolicy DeleteResourcePolicy UpdateTimeToLive DisableKinesisStreamingDestination",
            down="DeleteTable",
        ),
        Right("Rows", "dynamodb", _ARN, view="Query Scan"),
        # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
        use_key(
            "dynamodb",
            up="CreateGrant DescribeKey Encrypt Decrypt ReEncryptFrom ReEncryptTo GenerateDataKey",
            view="Decrypt",
        ),
    )

    hash_key: tuple[str, str]
    range_key: tuple[str, str]
    point_in_time_recovery: bool
    deletion_protection: bool
    kms_key: str | None = None

    def arn(self, run: Run) -> str:
        return run.aws.arn("dynamodb", f"table/{self.name}")

    def desired(self, run: Run) -> Properties:
        keys = (self.hash_key, self.range_key)
        return {
            "KeySchema": [
                {"AttributeName": self.hash_key[0], "KeyType": "HASH"},
                {"AttributeName": self.range_key[0], "KeyType": "RANGE"},
            ],
            "AttributeDefinitions": [{"AttributeName": name, "AttributeType": kind} for name, kind in sorted(keys)],
            "BillingMode": "PAY_PER_REQUEST",
            "DeletionProtectionEnabled": self.deletion_protection,
            "PointInTimeRecoveryEnabled": self.point_in_time_recovery,
            **optional(run, self, "SSESpecification", _encrypted_with(self.kms_key), {}),
            "Tags": run.all_tags,
        }

    def read(self, run: Run) -> Properties | None:
        table = _describe(run, self.name)
        # A table that is being deleted counts as gone; creating it again waits until it is.
        if table is None or table["TableStatus"] == "DELETING":
            return None
        # HASH comes before RANGE, in AWS's answer as a rule and in the declaration.
        keys = sorted(table["KeySchema"], key=lambda each: str(each["KeyType"]))
        recovery = run.answer(self, _backups).get("PointInTimeRecoveryDescription", {})
        return {
            **table,
            "KeySchema": keys,
            "AttributeDefinitions": _definitions(table, {each["AttributeName"] for each in keys}),
            # AWS leaves the summary out for tables that never were on demand.
            "BillingMode": table.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED"),
            "DeletionProtectionEnabled": table.get("DeletionProtectionEnabled", False),
            "PointInTimeRecoveryEnabled": recovery.get("PointInTimeRecoveryStatus") == "ENABLED",
            "PointInTimeRecoveryDescription": recovery,
            "SSESpecification": _encryption(table),
            "Tags": run.answer(self, _its_tags),
            "TableId": table.get("TableId"),
        }

    def create(self, run: Run, desired: Properties) -> Properties:
        settings = {key: value for key, value in desired.items() if key != "PointInTimeRecoveryEnabled"}
        settings["Tags"] = tag_list(desired["Tags"])
        made = run.client("dynamodb").create_table(TableName=self.name, **settings)["TableDescription"]
        self._wait_until_active(run)
        if desired["PointInTimeRecoveryEnabled"]:
            self._set_recovery(run, True)
        return {"TableId": made.get("TableId")}

    def update(self, run: Run, desired: Properties, observed: Properties) -> Properties:
        self._wait_until_active(run)
        # Protection must be the only change of its request.
        for name in ("BillingMode", "DeletionProtectionEnabled", "SSESpecification"):
            if name in desired and desired[name] != observed[name]:
                # Without a KMS key the declared specification is empty; DynamoDB requires Enabled: False.
                wanted = desired[name] or {"Enabled": False} if name == "SSESpecification" else desired[name]
                run.client("dynamodb").update_table(TableName=self.name, **{name: wanted})
                self._wait_until_active(run)
        if desired["PointInTimeRecoveryEnabled"] != observed["PointInTimeRecoveryEnabled"]:
            self._set_recovery(run, desired["PointInTimeRecoveryEnabled"])
        changed, removed = tag_changes(desired, observed)
        if changed:
            run.client("dynamodb").tag_resource(ResourceArn=self.arn(run), Tags=tag_list(changed))
        if removed:
            run.client("dynamodb").untag_resource(ResourceArn=self.arn(run), TagKeys=removed)
        return {}

    @classmethod
    def delete(cls, run: Run, recorded: Recorded) -> None:
        dynamodb = run.client("dynamodb")
        try:
            dynamodb.delete_table(TableName=recorded.name)
        except dynamodb.exceptions.ResourceNotFoundException:
            return
        except dynamodb.exceptions.ResourceInUseException:
            table = _describe(run, recorded.name)
            if table is None or table["TableStatus"] == "DELETING":
                return
            raise

    @classmethod
    def tags(cls, run: Run, recorded: Recorded) -> dict[str, str] | None:
        table = _describe(run, recorded.name)
        return _tags(run, table["TableArn"]) if table else None

    @classmethod
    def identify(cls, run: Run, recorded: Recorded) -> Properties:
        return {"TableId": (_describe(run, recorded.name) or {}).get("TableId")}

    @classmethod
    def deletion_obstacle(cls, run: Run, recorded: Recorded) -> str:
        if not (_describe(run, recorded.name) or {}).get("DeletionProtectionEnabled"):
            return ""
        command = f"aws dynamodb update-table --table-name {recorded.name} --no-deletion-protection-enabled"
        return f"{recorded.address} has deletion protection on: turn it off with `{command} --region {run.aws.region}`"

    def _wait_until_active(self, run: Run) -> None:
        # boto3's own waiter asks every 20 s; a table is there after 5 to 10.
        def active() -> bool:
            return bool((_describe(run, self.name) or {}).get("TableStatus") == "ACTIVE")

        run.until(self.address, "waiting until the table is active", active)

    def _set_recovery(self, run: Run, enabled: bool) -> None:
        run.client("dynamodb").update_continuous_backups(
            TableName=self.name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": enabled}
        )


def _describe(run: Run, name: str) -> dict[str, Any] | None:
    dynamodb = run.client("dynamodb")
    try:
        table: dict[str, Any] = dynamodb.describe_table(TableName=name)["Table"]
    except dynamodb.exceptions.ResourceNotFoundException:
        return None
    return table


def _encrypted_with(key: str | None) -> Properties:
    return {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key} if key else {}


def _encryption(table: Properties) -> Properties:
    """The KMS encryption of the table, in the form of a request; empty if AWS's own key encrypts it."""
    found = table.get("SSEDescription", {})
    there = found.get("Status") in ("ENABLED", "ENABLING", "UPDATING")
    return _encrypted_with(found.get("KMSMasterKeyArn", "alias/aws/dynamodb")) if there else {}


def _definitions(table: dict[str, Any], names: set[str]) -> list[dict[str, str]]:
    """The types of these attributes, without those of indexes, which others may have added."""
    found = (each for each in table["AttributeDefinitions"] if each["AttributeName"] in names)
    return sorted(found, key=lambda each: str(each["AttributeName"]))


def _tags(run: Run, arn: str) -> dict[str, str]:
    pages = run.client("dynamodb").get_paginator("list_tags_of_resource").paginate(ResourceArn=arn)
    return tag_dict(each for page in pages for each in page["Tags"])
