"""Deletes an environment: first finds what to delete, what to keep and what AWS would refuse, then deletes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from iotpipe.errors import RefusedError, ResourceError
from iotpipe.provision import leftovers, ownership
from iotpipe.provision.delete import delete
from iotpipe.provision.ledger import Ledger, Row
from iotpipe.provision.obstacles import ask_for_obstacles
from iotpipe.provision.ownership import Verdict, Whose
from iotpipe.provision.parallel_reads import Reads
from iotpipe.provision.resource import UNKNOWN, Recorded, Resource
from iotpipe.provision.run import Event, Run


@dataclass(frozen=True)
class Teardown:
    """What `down` would do. The addresses of `to_delete`, `kept` and `others` do not overlap.

    `to_delete` are the rows to delete. Those of them that the state file does not record are in `found`: they were
    found by their tags. Those that were already deleted outside iotpipe are in `gone`. `others` says why a recorded
    resource no longer belongs to the environment. `obstacles` are deletions that AWS would refuse.
    """

    to_delete: Mapping[str, Row]
    kept: Sequence[str]
    gone: Sequence[str] = ()
    found: Mapping[str, Row] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)
    obstacles: Sequence[str] = ()
    unread: Sequence[str] = ()

    def check(self) -> None:
        """Raise RefusedError, with every deletion that AWS would refuse."""
        if self.obstacles:
            lines = "\n".join(f"  {each}" for each in self.obstacles)
            raise RefusedError(f"refused, and nothing was changed:\n{lines}")


@dataclass(frozen=True)
class TakenDown:
    """What `down` did, by address. Resources in `gone` had already been deleted outside iotpipe."""

    deleted: Sequence[str]
    gone: Sequence[str]
    kept: Sequence[str]
    others: Mapping[str, str]


def examine(
    run: Run,
    rows: Mapping[str, Row],
    resources: Sequence[Resource],
    delete_data: bool,
    cleared: Collection[str] = (),
) -> Teardown:
    """Find every resource that the state file records, that is declared, or that has the environment's tags.

    `cleared` are kinds for which the command removes every obstacle itself before it deletes them.
    """
    run.resources = resources
    run.ledger = {address: row.properties for address, row in rows.items()}
    with Reads(run) as reads:
        searches = leftovers.start_searches(reads)
        alone = {address: row for address, row in rows.items() if _stands_alone(row, rows)}
        verdicts = {address: reads.required(address, _judge(run, rows, row)) for address, row in alone.items()}
        obstacles = _obstacles(reads, rows, delete_data, cleared)
        reads.wait()
        known = [row.recorded() for row in rows.values()]
        searches.append(lambda: [each for each in map(_declared(run), resources) if each])
        found = leftovers.collect(reads, searches, known, rows)
        whose = {address: verdict() for address, verdict in verdicts.items()}
        others = {address: each.why for address, each in whose.items() if each.whose is Whose.OTHERS}
        others |= {address: others[row.inside] for address, row in rows.items() if row.inside in others}
        every = {address: row for address, row in {**rows, **found}.items() if address not in others}
        to_delete = {address: row for address, row in every.items() if is_deleted(row, delete_data)}
        obstacles |= _obstacles(reads, found, delete_data, cleared)
        reads.wait()
    gone = [address for address, each in whose.items() if each.whose is Whose.GONE]
    gone += [address for address, row in rows.items() if row.inside in gone]
    return Teardown(
        to_delete,
        kept=sorted(every.keys() - to_delete.keys()),
        gone=[address for address in gone if address in to_delete],
        found=found,
        others=others,
        obstacles=[text for address in to_delete if (text := obstacles[address]())],
        unread=reads.unread,
    )


def is_deleted(row: Row, delete_data: bool) -> bool:
    """Whether `down` deletes the resource."""
    kind = Resource.kinds[row.kind]
    return not kind.shared and (delete_data or not kind.keeps_data())


def _stands_alone(row: Row, rows: Mapping[str, Row]) -> bool:
    """Whether the resource is deleted by itself, and not with its parent, so that its owner has to be checked."""
    return not Resource.kinds[row.kind].shared and row.inside not in rows


def _judge(run: Run, rows: Mapping[str, Row], row: Row) -> Callable[[], Verdict]:
    return lambda: ownership.of_row(run, rows, row)


def _obstacles(
    reads: Reads, rows: Mapping[str, Row], delete_data: bool, cleared: Collection[str]
) -> dict[str, Callable[[], str]]:
    """Ask for every resource that may be deleted, before its owner is known: that saves one round trip."""
    deleted = {address: row for address, row in rows.items() if is_deleted(row, delete_data)}
    asked = {address: row for address, row in deleted.items() if row.kind not in cleared}
    return {address: lambda: "" for address in deleted} | ask_for_obstacles(reads, asked)


def _declared(run: Run) -> Callable[[Resource], Recorded | None]:
    """A declared resource as a search candidate: the tagging API may not list a new resource yet."""

    def candidate(resource: Resource) -> Recorded | None:
        if not resource.arn_form or "search" in vars(type(resource)):
            return None
        known = {key: value for key, value in resource.desired(run).items() if UNKNOWN not in repr(value)}
        return Recorded(resource.address, resource.kind, resource.name, known)

    return candidate


def check_unprotected(environment: str, ledger: Ledger, protect: bool) -> None:
    """Raise RefusedError if the configuration or the state file protects the environment."""
    if protect or ledger.protected:
        hint = f"Set `protect: false` in its configuration and run `iotpipe up --env {environment}` first"
        raise RefusedError(f"{environment} is protected", hint)


def down(run: Run, ledger: Ledger, teardown: Teardown, parallel: int) -> TakenDown:
    """Delete in reverse order, then search again for resources with the environment's tags.

    Raises ApplyFailed, CredentialsError and Interrupted like `up`, and ResourceError if a resource is left.
    """
    teardown.check()
    # Before the first deletion: if `down` is killed, the next one relies on what is recorded.
    if teardown.found:
        ledger.record(*teardown.found.values())
    if teardown.others:
        ledger.forget(teardown.others)
    for address, why in teardown.others.items():
        run.tell(Event(address, "kept", f"left alone: it {why}"))
    left_alone = delete(run, ledger, teardown.to_delete, parallel)
    for address in teardown.kept:
        run.tell(Event(address, "kept"))
    shared = [address for address in teardown.kept if Resource.kinds[address.partition("/")[0]].shared]
    if shared == list(teardown.kept):
        # Nothing of this environment is left. What the account shares belongs to no environment.
        ledger.forget(shared)
    _check_nothing_is_left(run, [row.recorded() for row in {**ledger.rows, **teardown.to_delete}.values()])
    deleted = [address for address in teardown.to_delete if address not in (*teardown.gone, *left_alone)]
    return TakenDown(deleted, teardown.gone, teardown.kept, {**teardown.others, **left_alone})


def _check_nothing_is_left(run: Run, known: Sequence[Recorded]) -> None:
    """Raise ResourceError if another command created more resources with the environment's tags meanwhile."""
    run.clear_cache()
    with Reads(run, changed=True) as reads:
        searches = leftovers.start_searches(reads)
        reads.wait()
        alive = leftovers.collect(reads, searches, known, ())
    if alive:
        raise ResourceError(
            f"{run.environment} is not fully down: these still exist with its tags: {', '.join(sorted(alive))}",
            f"Another command may be creating it: stop that command and run `{run.typed}` again",
        )
