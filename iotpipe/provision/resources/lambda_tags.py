"""The tags of Lambda functions and event source mappings."""

from __future__ import annotations

from iotpipe.provision.resource import Properties, tag_changes
from iotpipe.provision.run import Run


def retag(run: Run, arn: str, desired: Properties, observed: Properties) -> None:
    """Set and remove tags so that the function or event source mapping has the desired ones."""
    changed, removed = tag_changes(desired, observed)
    if changed:
        run.client("lambda").tag_resource(Resource=arn, Tags=changed)
    if removed:
        run.client("lambda").untag_resource(Resource=arn, TagKeys=removed)
