"""Whose a live resource is: the one rule that every read, update and delete goes by.

An environment is an account, a region and a name. A live resource is the environment's if its tags say so, or if it
has an identity that no other resource of that name can have (`Resource.identity`) and that the state file recorded.
A row of the state file alone proves nothing: it may be stale, copied or edited.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from iotpipe.provision.ledger import Row
from iotpipe.provision.resource import Properties, Resource
from iotpipe.provision.run import ENVIRONMENT_TAG, REGION_TAG, Run
from iotpipe.times import seconds

TAGS_COME_LATE = 60
"""Seconds after which also SQS, the slowest, shows the tags of a new queue."""


class Whose(Enum):
    """Who a live resource belongs to. UNCLEAR: its tags may still become visible. GONE: there is no such resource."""

    OURS = "ours"
    UNCLEAR = "unclear"
    OTHERS = "others"
    GONE = "gone"


@dataclass(frozen=True)
class Verdict:
    """`why` completes the sentence "<address> ..."; `remedy` is what to do; both empty for OURS and GONE.

    `adoptable` says that it bears no other environment's tags.
    """

    whose: Whose
    why: str = ""
    remedy: str = ""
    adoptable: bool = False


OURS, GONE = Verdict(Whose.OURS), Verdict(Whose.GONE)
_ADOPT = "Choose another `suffix`, or adopt it as it is described in the configuration with `iotpipe up --adopt`"


def judge(
    run: Run,
    kind: type[Resource],
    tags: Mapping[str, str],
    identity: Callable[[], Properties],
    row: Row | None,
) -> Verdict:
    """Decide by the live tags, and where they say nothing by the live identity and what the row recorded of it."""
    environment, region = tags.get(ENVIRONMENT_TAG), tags.get(REGION_TAG)
    if environment is not None and environment != run.environment:
        return Verdict(
            Whose.OTHERS,
            f"belongs to the environment {environment!r}: two environments cannot share a suffix",
            f"Give {run.environment!r} another `suffix`",
        )
    if environment is not None and region is not None and region != run.aws.region:
        return Verdict(
            Whose.OTHERS,
            f"belongs to the environment {environment!r} in {region}: its name is the same in every region "
            "of the account",
            f"Give {run.environment!r} in {run.aws.region} another `suffix`",
        )
    if environment is not None and (region is not None or not kind.global_name):
        return OURS
    return _by_identity(run, kind, tags, identity, row)


def _by_identity(
    run: Run, kind: type[Resource], tags: Mapping[str, str], identity: Callable[[], Properties], row: Row | None
) -> Verdict:
    recorded = {key: row.properties.get(key) for key in kind.identity} if row else {}
    known = {key: value for key, value in recorded.items() if value is not None}
    if known:
        live = identity()
        same = all(live.get(key) == value for key, value in known.items())
        if same and len(known) == len(recorded):
            return OURS
    if known and not same:
        why = "is a different resource with that name: the recorded one is gone"
        return Verdict(Whose.OTHERS, why, _ADOPT, adoptable=True)
    if row and ENVIRONMENT_TAG not in tags and tags_may_come(run, row):
        return Verdict(Whose.UNCLEAR)
    why = "already exists and lacks this environment's tags"
    return Verdict(Whose.OTHERS, why, _ADOPT, adoptable=True)


def tags_may_come(run: Run, row: Row) -> bool:
    """Whether the row was written so lately that AWS may not show the tags of what it records yet."""
    # A time far in the future is not another clock's that is a little fast: nobody waits until then.
    return abs(run.clock.now() - seconds(row.updated_at)) < TAGS_COME_LATE


def of_observed(run: Run, resource: Resource, observed: Properties, row: Row | None) -> Verdict:
    """Whose a declared resource is, by what was read of it."""
    if "Tags" not in observed:
        return OURS
    return judge(run, type(resource), observed["Tags"], lambda: observed, row)


def of_row(run: Run, rows: Mapping[str, Row], row: Row) -> Verdict:
    """Whose that is which a row records, by a fresh look; `run.verdicts` keeps it with its time.

    What cannot bear tags belongs to whom the resource belongs that it is part of.
    """
    verdict = _of_row(run, rows, row)
    run.verdicts[row.address] = (run.clock.now(), verdict)
    return verdict


def _of_row(run: Run, rows: Mapping[str, Row], row: Row) -> Verdict:
    kind = Resource.kinds[row.kind]
    tags = kind.tags(run, row.recorded())
    if tags is None:
        return GONE
    if not kind.inside or kind.arn_form:
        return judge(run, kind, tags, lambda: kind.identify(run, row.recorded()), row)
    container = rows.get(row.inside)
    if container is None or not is_part_of(row, container):
        return judge(run, kind, tags, dict, None)
    owner = Resource.kinds[container.kind]
    return judge(run, owner, tags, lambda: owner.identify(run, container.recorded()), container)


def is_part_of(row: Row, container: Row) -> bool:
    """Whether both rows mean the same container, as far as its ids tell."""
    ids = Resource.kinds[container.kind].identity
    return all(row.properties[key] == container.properties.get(key) for key in ids if key in row.properties)
