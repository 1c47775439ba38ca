"""Ownership of live resources: the one rule for every read, update and deletion.

An environment is an account, a region and a name. It owns a live resource if the resource has its ownership tags, or
if the live identity (`Resource.identity`) equals the one in the state file. A row of the state file alone proves
nothing: it may be stale, copied or edited.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from iotpipe.provision.ledger import Row
from iotpipe.provision.resource import Properties, Resource
from iotpipe.provision.run import ENVIRONMENT_TAG, REGION_TAG, Run
from iotpipe.times import seconds

TAG_PROPAGATION = 60
"""Seconds after which the tags of a new resource are visible in every service. SQS is the slowest."""


class Whose(Enum):
    """The owner of a live resource. UNCLEAR: its tags may still become visible. GONE: the resource does not exist."""

    OURS = "ours"
    UNCLEAR = "unclear"
    OTHERS = "others"
    GONE = "gone"


@dataclass(frozen=True)
class Verdict:
    """The owner of a resource, and the reason.

    `why` completes the sentence "<address> ..."; `remedy` is what to do; both are empty for OURS and GONE.
    `adoptable` says that the resource has no other environment's tags.
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
    """Decide by the live tags. If they do not tell the owner, compare the live identity with the recorded one."""
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
    if row and ENVIRONMENT_TAG not in tags and tags_may_appear(run, row):
        return Verdict(Whose.UNCLEAR)
    why = "already exists and lacks this environment's tags"
    return Verdict(Whose.OTHERS, why, _ADOPT, adoptable=True)


def tags_may_appear(run: Run, row: Row) -> bool:
    """Whether the row is so recent that the resource's tags may not be visible yet."""
    # A time far in the future is wrong, not from a clock that is slightly fast: do not wait for it.
    return abs(run.clock.now() - seconds(row.updated_at)) < TAG_PROPAGATION


def of_observed(run: Run, resource: Resource, observed: Properties, row: Row | None) -> Verdict:
    """Return the owner of a declared resource, from its observed properties."""
    if "Tags" not in observed:
        return OURS
    return judge(run, type(resource), observed["Tags"], lambda: observed, row)


def of_row(run: Run, rows: Mapping[str, Row], row: Row) -> Verdict:
    """Read the owner of a recorded resource from AWS. `run.verdicts` keeps the verdict and its time.

    A resource that cannot have tags has the owner of the resource that contains it.
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
    """Whether the row's container is this one, as far as the recorded ids tell."""
    ids = Resource.kinds[container.kind].identity
    return all(row.properties[key] == container.properties.get(key) for key in ids if key in row.properties)
