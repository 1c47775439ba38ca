"""CloudWatch log groups."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any, ClassVar

from iotpipe.provision.resource import Properties, Recorded, Resource, optional, optional_found, tag_changes
from iotpipe.provision.rights import Right, regional_arn
from iotpipe.provision.run import Run
from iotpipe.provision.tag_search import tags_of

# AWS checks a group's tags without, everything else with the `:*` of its streams.
_ARN = (regional_arn("logs", "log-group:{name}"), regional_arn("logs", "log-group:{name}:*"))

FIND_LOG_GROUPS = Right("FindLogGroups", "logs", (regional_arn("logs", "log-group:*"),), plan="DescribeLogGroups")
"""DescribeLogGroups cannot be narrowed to one group."""


@dataclass(frozen=True, eq=False)
class LogGroup(Resource):
    """A log group; retention in days. `kms_key` is the ARN of the KMS key that encrypts it; None for AWS's own key."""

    kind: ClassVar[str] = "log-group"
    aws_service: ClassVar[str] = "logs"
    needs_final_cleanup: ClassVar[bool] = True
    # CreateLogGroup does not return it: the next `up` records it.
    assigned: ClassVar[tuple[str, ...]] = ("creationTime",)
    identity: ClassVar[tuple[str, ...]] = ("creationTime",)
    arn_form: ClassVar[str] = r"logs:log-group:(?P<name>[^:]+)(:\*)?"
    rights: ClassVar[tuple[Right, ...]] = (
        Right(
            "LogGroups",
            "logs",
            _ARN,
            plan="ListTagsForResource DescribeSubscriptionFilters",
            up="CreateLogGroup PutRetentionPolicy TagResource UntagResource DeleteSubscriptionFilter"
            " DisassociateKmsKey DeleteDataProtectionPolicy PutLogGroupDeletionProtection",
            down="DeleteLogGroup",
            operate="FilterLogEvents",
            view="FilterLogEvents",
        ),
        # AWS asks about a group without a name.
        FIND_LOG_GROUPS,
        Right("LogGroups", "logs", _ARN, up="AssociateKmsKey", of="key"),
    )

    retention: int
    kms_key: str | None = None

    def arn(self, run: Run) -> str:
        return _arn(run, self.name)

    def desired(self, run: Run) -> Properties:
        key = optional(run, self, "kmsKeyId", self.kms_key, "")
        return {"retentionInDays": self.retention, **key, "Tags": run.all_tags}

    def read(self, run: Run) -> Properties | None:
        found = describe_log_group(run, self.name)
        if found is None:
            return None
        tags = tags_of(run, self.arn(run), lambda: _tags(run, self.name))
        key = optional_found(run, self, "kmsKeyId", found.get("kmsKeyId", ""))
        return {**found, **key, "retentionInDays": found.get("retentionInDays"), "Tags": tags}

    def create(self, run: Run, desired: Properties) -> Properties:
        key = {"kmsKeyId": desired["kmsKeyId"]} if desired.get("kmsKeyId") else {}
        run.client("logs").create_log_group(logGroupName=self.name, tags=desired["Tags"], **key)
        self._set_retention(run, desired)
        return {}

    def update(self, run: Run, desired: Properties, observed: Properties) -> Properties:
        logs = run.client("logs")
        if desired["retentionInDays"] != observed["retentionInDays"]:
            self._set_retention(run, desired)
        if "kmsKeyId" in desired and desired["kmsKeyId"] != observed.get("kmsKeyId"):
            encrypt_log_group(run, self.name, desired["kmsKeyId"])
        changed, removed = tag_changes(desired, observed)
        if changed:
            logs.tag_resource(resourceArn=self.arn(run), tags=changed)
        if removed:
            logs.untag_resource(resourceArn=self.arn(run), tagKeys=removed)
        return {}

    @classmethod
    def delete(cls, run: Run, recorded: Recorded) -> None:
        delete_log_group(run, recorded.name)

    @classmethod
    def final_cleanup(cls, run: Run, recorded: Recorded) -> None:
        # Logs are delivered late: the last lines of a function may have created its group again.
        delete_log_group(run, recorded.name)

    @classmethod
    def tags(cls, run: Run, recorded: Recorded) -> dict[str, str] | None:
        return _tags(run, recorded.name) if describe_log_group(run, recorded.name) else None

    @classmethod
    def identify(cls, run: Run, recorded: Recorded) -> Properties:
        return {"creationTime": (describe_log_group(run, recorded.name) or {}).get("creationTime")}

    def _set_retention(self, run: Run, desired: Properties) -> None:
        run.client("logs").put_retention_policy(logGroupName=self.name, retentionInDays=desired["retentionInDays"])


def make_log_group(run: Run, name: str) -> None:
    """Make a log group without tags; that it is there already is success."""
    logs = run.client("logs")
    with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
        logs.create_log_group(logGroupName=name)


def encrypt_log_group(run: Run, name: str, key: str) -> None:
    """Have what is logged from now on encrypted with this KMS key; an empty one leaves it to CloudWatch Logs."""
    if key:
        run.client("logs").associate_kms_key(logGroupName=name, kmsKeyId=key)
    else:
        run.client("logs").disassociate_kms_key(logGroupName=name)


def delete_log_group(run: Run, name: str) -> None:
    """Delete a log group; that it is gone already is success."""
    logs = run.client("logs")
    try:
        logs.delete_log_group(logGroupName=name)
    except logs.exceptions.ResourceNotFoundException:
        return


def log_groups(run: Run, prefix: str) -> list[str]:
    """The names of the log groups that begin so."""
    pages = run.client("logs").get_paginator("describe_log_groups").paginate(logGroupNamePrefix=prefix)
    return [each["logGroupName"] for page in pages for each in page["logGroups"]]


def _arn(run: Run, name: str) -> str:
    return run.aws.arn("logs", f"log-group:{name}")


def describe_log_group(run: Run, name: str) -> dict[str, Any] | None:
    """The log group as CloudWatch Logs describes it; None if it does not exist."""
    # The prefix may fit other groups too, but the exact name sorts first.
    groups = run.client("logs").describe_log_groups(logGroupNamePrefix=name, limit=1)["logGroups"]
    return groups[0] if groups and groups[0]["logGroupName"] == name else None


def _tags(run: Run, name: str) -> dict[str, str]:
    tags: dict[str, str] = run.client("logs").list_tags_for_resource(resourceArn=_arn(run, name))["tags"]
    return tags
