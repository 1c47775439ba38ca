"""What the requests to API Gateway share: ARNs, patch operations, tags and times."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from iotpipe.provision.resource import Properties, tag_changes
from iotpipe.provision.run import Run
from iotpipe.times import timestamp

BUSY = "ConflictException"
"""The error code while another change of the API is in progress; also of an API that is being deleted."""


def replace(path: str, value: str) -> dict[str, str]:
    """A patch operation that sets one value."""
    return {"op": "replace", "path": path, "value": value}


def created_at(found: Mapping[str, Any]) -> str | None:
    """When the API or stage was created, in UTC: botocore gives times in the time zone of the machine."""
    made: datetime | None = found.get("createdDate")
    return timestamp(made.timestamp()) if made else None


def api_arn(run: Run, identifier: str) -> str:
    """The ARN of the REST API with this id."""
    return f"arn:{run.aws.partition}:apigateway:{run.aws.region}::/restapis/{identifier}"


def retag(run: Run, arn: str, desired: Properties, observed: Properties) -> None:
    """Set and remove tags so that the API or stage has the desired ones."""
    changed, removed = tag_changes(desired, observed)
    if changed:
        run.client("apigateway").tag_resource(resourceArn=arn, tags=changed)
    if removed:
        run.client("apigateway").untag_resource(resourceArn=arn, tagKeys=removed)
