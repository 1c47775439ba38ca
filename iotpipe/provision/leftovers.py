"""Finds orphans: resources with the environment's tags that are neither declared nor in the state file.

Orphans exist if the state file was lost or is stale, if a stage or suffix was changed, or if another machine has
created a second API at the same time.
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


def start_searches(reads: Reads) -> Searches:
    """Start the searches for everything that may belong to the environment."""
    return [
        reads.optional(what, lambda kind=kind: tag_search.candidates(reads.run, kind))  # type: ignore[misc] # mypy loses the default
        for what, kind in tag_search.searches()
    ]


def collect(reads: Reads, searches: Searches, known: Iterable[Recorded], addresses: Iterable[str]) -> dict[str, Row]:
    """Return rows for the orphans: found by the searches, owned by the environment, and not `known`.

    A candidate with one of `addresses` is ignored: that address is taken.
    """
    known, taken = list(known), set(addresses)
    candidates = tag_search.distinct(each for result in searches for each in result() or [])
    unknown = [each for each in candidates if not any(tag_search.same(each, one) for one in known)]
    tags = [(each, reads.optional(each.address, _tags(reads, each))) for each in unknown if each.address not in taken]
    reads.wait()
    owned = [each for each, result in tags if _is_owned(reads, each, result())]
    containers = {name: each.address for each in [*known, *owned] for name in _container_ids(reads, each)}
    return {each.address: _row(reads, each, owned, containers) for each in owned}


def _tags(reads: Reads, recorded: Recorded) -> Callable[[], dict[str, str] | None]:
    return lambda: Resource.kinds[recorded.kind].tags(reads.run, recorded)


def _is_owned(reads: Reads, recorded: Recorded, tags: Mapping[str, str] | None) -> bool:
    # The tagging service still lists resources for a while after their deletion.
    if tags is None:
        return False
    kind = Resource.kinds[recorded.kind]
    return ownership.judge(reads.run, kind, tags, dict, None).whose is Whose.OURS


def _container_ids(reads: Reads, recorded: Recorded) -> list[str]:
    """Return the ids by which resources inside this one refer to it in their properties."""
    if recorded.kind == "rest-api" and "RestApiId" in recorded.properties:
        return [recorded.properties["RestApiId"]]
    return [reads.run.aws.arn("sns", recorded.name)] if recorded.kind == "topic" else []


def _row(reads: Reads, recorded: Recorded, others: Iterable[Recorded], containers: Mapping[str, str]) -> Row:
    now = timestamp(reads.run.clock.now())
    container_id = recorded.properties.get("RestApiId") or recorded.properties.get("TopicArn", "")
    # A stage with the environment's tags may be in an API that has lost them: only its id is known.
    inside = containers.get(container_id, f"rest-api/{container_id}") if Resource.kinds[recorded.kind].inside else ""
    needs = tag_search.needs_of(recorded, others)
    return Row(recorded.kind, recorded.name, "ready", recorded.properties, needs, inside, now, now)
