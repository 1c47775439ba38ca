"""The calls to CloudWatch that alarms and dashboards share."""

from __future__ import annotations

from typing import Any

from iotpipe.provision.resource import Properties, tag_changes, tag_dict, tag_list
from iotpipe.provision.run import Run


def not_found(cloudwatch: Any) -> tuple[type[Exception], ...]:
    """What botocore raises where there is no such alarm or dashboard.

    Several errors of CloudWatch have the same code, ResourceNotFound, and botocore raises any one of their classes.
    """
    errors = cloudwatch.exceptions
    return (errors.ResourceNotFound, errors.ResourceNotFoundException, errors.DashboardNotFoundError)


def read_tags(run: Run, arn: str) -> dict[str, str]:
    """The tags of the alarm or dashboard with this ARN."""
    return tag_dict(run.client("cloudwatch").list_tags_for_resource(ResourceARN=arn)["Tags"])


def retag(run: Run, arn: str, desired: Properties, observed: Properties) -> None:
    """Set and remove tags so that the alarm or dashboard has the desired ones."""
    changed, removed = tag_changes(desired, observed)
    if changed:
        run.client("cloudwatch").tag_resource(ResourceARN=arn, Tags=tag_list(changed))
    if removed:
        run.client("cloudwatch").untag_resource(ResourceARN=arn, TagKeys=removed)
