"""What bears the environment's tags and that neither the declaration nor the state file knows.

The state file may be lost or stale, a stage or a suffix may have been changed meanwhile, or another machine has made
a second API at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from iotpipe.provision import ownership, tag_search
from iotpipe.provision.ledger import Row
from iotpipe.provision.ownership import Whose
from iotpipe.provision.parallel_reads import Reads
from iotpipe.provision.resource import Recorded, Resource
from iotpipe.times import timestamp

Searches = list[Callable[[], list[Recorded] | None]]


def begin(reads: Reads) -> Searches:
    """Ask for everything that may belong to the environment."""
    return [
        reads.may(what, lambda kind=kind: tag_search.candidates(reads.run, kind))  # type: ignore[misc] # mypy loses the default
        for what, kind in tag_search.searches()
    ]


def found(reads: Reads, searches: Searches, known: Iterable[Recorded], addresses: Iterable[str]) -> dict[str, Row]:
    """The rows of what was found, belongs to the environment, and is not among the known resources.

    `addresses` are taken: what has one of them is part of another leftover and goes with it.
    """
    known, taken = list(known), set(addresses)
    every = tag_search.distinct(each for answer in searches for each in answer() or [])
    unknown = [each for each in every if not any(tag_search.same(each, one) for one in known)]
    tags = [(each, reads.may(each.address, _tags(reads, each))) for each in unknown if each.address not in taken]
    reads.wait()
    ours = [each for each, answer in tags if _is_ours(reads, each, answer())]
    containers = {name: each.address for each in [*known, *ours] for name in _as_container(reads, each)}
    return {each.address: _row(reads, each, ours, containers) for each in ours}


def _tags(reads: Reads, recorded: Recorded) -> Callable[[], dict[str, str] | None]:
    return lambda: Resource.kinds[recorded.kind].tags(reads.run, recorded)


def _is_ours(reads: Reads, recorded: Recorded, tags: Mapping[str, str] | None) -> bool:
    # The tagging service goes on listing what was deleted a while ago.
    if tags is None:
        return False
    kind = Resource.kinds[recorded.kind]
    return ownership.judge(reads.run, kind, tags, dict, None).whose is Whose.OURS


def _as_container(reads: Reads, recorded: Recorded) -> list[str]:
    """What its parts call it in their properties."""
    if recorded.kind == "rest-api" and "RestApiId" in recorded.properties:
        return [recorded.properties["RestApiId"]]
    return [reads.run.aws.arn("sns", recorded.name)] if recorded.kind == "topic" else []


def _row(reads: Reads, recorded: Recorded, others: Iterable[Recorded], containers: Mapping[str, str]) -> Row:
    now = timestamp(reads.run.clock.now())
    named = recorded.properties.get("RestApiId") or recorded.properties.get("TopicArn", "")
    inside = containers.get(named, "") if Resource.kinds[recorded.kind].inside else ""
    needs = tag_search.needs_of(recorded, others)
    return Row(recorded.kind, recorded.name, "ready", recorded.properties, needs, inside, now, now)
