"""The tags of AWS IoT's policies and topic rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from iotpipe.provision.resource import Properties, tag_changes, tag_dict, tag_list
from iotpipe.provision.run import Run
from iotpipe.provision.tag_search import tags_of


def known_tags(run: Run, arn: str) -> dict[str, str]:
    """The tags of a resource that exists, if possible without a call."""
    return tags_of(run, arn, lambda: _tags(run, arn))


def live_tags(run: Run, arn: str, exists: Callable[[], bool]) -> dict[str, str] | None:
    """The live tags; None if the resource does not exist: `exists` says so where there are none."""
    return _tags(run, arn) or ({} if exists() else None)


def retag(run: Run, arn: str, desired: Properties, observed: Properties) -> None:
    """Set and remove the tags that differ."""
    changed, removed = tag_changes(desired, observed)
    if changed:
        run.client("iot").tag_resource(resourceArn=arn, tags=tag_list(changed))
    if removed:
        run.client("iot").untag_resource(resourceArn=arn, tagKeys=removed)


def _tags(run: Run, arn: str) -> dict[str, str]:
    """The tags; none for an ARN that nothing has: the API reference has an error for it, ministack an empty answer."""
    iot = run.client("iot")
    found: list[dict[str, Any]] = []
    answer: dict[str, Any] = {"nextToken": None}
    while "nextToken" in answer:
        following = {"nextToken": answer["nextToken"]} if answer["nextToken"] else {}
        try:
            answer = iot.list_tags_for_resource(resourceArn=arn, **following)
        except iot.exceptions.ResourceNotFoundException:
            return {}
        found += answer["tags"]
    return tag_dict(found)
