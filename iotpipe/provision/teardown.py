"""Takes an environment down: looks first at what goes, what stays and what stands in the way, then deletes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from iotpipe.errors import RefusedError, ResourceError
from iotpipe.provision import leftovers, ownership
from iotpipe.provision.delete import delete
from iotpipe.provision.ledger import Ledger, Row
from iotpipe.provision.ownership import Verdict, Whose
from iotpipe.provision.parallel_reads import Reads
from iotpipe.provision.resource import UNKNOWN, Recorded, Resource
from iotpipe.provision.run import Event, Run


@dataclass(frozen=True)
class Teardown:
    """What `down` would do. `doomed`, `kept` and `others` are addresses apart from each other.

    `doomed` are the rows to be deleted, those among them that the state file does not have being `found` by their
    tags; `gone` are those of them that somebody deleted already. `others` says of each row why it is not this
    environment's any more. `hindrances` is what AWS would refuse halfway.
    """

    doomed: Mapping[str, Row]
    kept: Sequence[str]
    gone: Sequence[str] = ()
    found: Mapping[str, Row] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)
    hindrances: Sequence[str] = ()
    unread: Sequence[str] = ()

    def check(self) -> None:
        """Raise RefusedError, with everything that AWS would refuse halfway."""
        if self.hindrances:
            lines = "\n".join(f"  {each}" for each in self.hindrances)
            raise RefusedError(f"refused, and nothing was changed:\n{lines}")


@dataclass(frozen=True)
class TakenDown:
    """What `down` did, by address. `gone` had been deleted by somebody else."""

    deleted: Sequence[str]
    gone: Sequence[str]
    kept: Sequence[str]
    others: Mapping[str, str]


def examine(run: Run, rows: Mapping[str, Row], resources: Sequence[Resource], delete_data: bool) -> Teardown:
    """Look at everything that the state file records, that is declared, or that bears the environment's tags."""
    run.resources = resources
    run.ledger = {address: row.properties for address, row in rows.items()}
    with Reads(run) as reads:
        searches = leftovers.begin(reads)
        alone = {address: row for address, row in rows.items() if _stands_alone(row, rows)}
        verdicts = {address: reads.must(address, _judge(run, rows, row)) for address, row in alone.items()}
        hindrances = _ask_for_hindrances(reads, rows, delete_data)
        reads.wait()
        known = [row.recorded() for row in rows.values()]
        searches.append(lambda: [each for each in map(_declared(run), resources) if each])
        found = leftovers.found(reads, searches, known, rows)
        whose = {address: verdict() for address, verdict in verdicts.items()}
        others = {address: each.why for address, each in whose.items() if each.whose is Whose.OTHERS}
        others |= {address: others[row.inside] for address, row in rows.items() if row.inside in others}
        every = {address: row for address, row in {**rows, **found}.items() if address not in others}
        doomed = {address: row for address, row in every.items() if goes(row, delete_data)}
        hindrances |= _ask_for_hindrances(reads, found, delete_data)
        reads.wait()
    gone = [address for address, each in whose.items() if each.whose is Whose.GONE]
    gone += [address for address, row in rows.items() if row.inside in gone]
    return Teardown(
        doomed,
        kept=sorted(every.keys() - doomed.keys()),
        gone=[address for address in gone if address in doomed],
        found=found,
        others=others,
        hindrances=[text for address in doomed if (text := hindrances[address]())],
        unread=reads.unread,
    )


def goes(row: Row, delete_data: bool) -> bool:
    """Whether `down` deletes it."""
    kind = Resource.kinds[row.kind]
    return not kind.shared and (delete_data or not kind.keeps_data())


def _stands_alone(row: Row, rows: Mapping[str, Row]) -> bool:
    """Whether nobody else's deletion takes it away, so that its owner has to be looked at."""
    return not Resource.kinds[row.kind].shared and row.inside not in rows


def _judge(run: Run, rows: Mapping[str, Row], row: Row) -> Callable[[], Verdict]:
    return lambda: ownership.of_row(run, rows, row)


def _ask_for_hindrances(reads: Reads, rows: Mapping[str, Row], delete_data: bool) -> dict[str, Callable[[], str]]:
    """Ask of everything that may go, before it is known whose it is: one round trip less."""
    asked = {address: row for address, row in rows.items() if goes(row, delete_data)}
    return {address: reads.must(address, _hindrance(reads.run, row)) for address, row in asked.items()}


def _hindrance(run: Run, row: Row) -> Callable[[], str]:
    return lambda: Resource.kinds[row.kind].hindrance(run, row.recorded())


def _declared(run: Run) -> Callable[[Resource], Recorded | None]:
    """A declared resource as something to look for: the tagging service may not list yet what was just made."""

    def candidate(resource: Resource) -> Recorded | None:
        if not resource.arn_form or "search" in vars(type(resource)):
            return None
        known = {key: value for key, value in resource.desired(run).items() if UNKNOWN not in repr(value)}
        return Recorded(resource.address, resource.kind, resource.name, known)

    return candidate


def down(run: Run, ledger: Ledger, teardown: Teardown, parallel: int) -> TakenDown:
    """Delete what was looked at, in reverse order, and look once more for what bears the environment's tags.

    Raises ApplyFailed, CredentialsError and Interrupted like `up`, and ResourceError where something lives on.
    """
    teardown.check()
    # First of all: if this is cut short, the next `down` goes by what is recorded.
    if teardown.found:
        ledger.record(*teardown.found.values())
    if teardown.others:
        ledger.forget(teardown.others)
    for address, why in teardown.others.items():
        run.tell(Event(address, "kept", f"left alone: it {why}"))
    left_alone = delete(run, ledger, teardown.doomed, parallel)
    for address in teardown.kept:
        run.tell(Event(address, "kept"))
    shared = [address for address in teardown.kept if Resource.kinds[address.partition("/")[0]].shared]
    if shared == list(teardown.kept):
        # Nothing of this environment is left, and what the account shares is nobody's to record.
        ledger.forget(shared)
    _check_nothing_lives_on(run, [row.recorded() for row in {**ledger.rows, **teardown.doomed}.values()])
    deleted = [address for address in teardown.doomed if address not in (*teardown.gone, *left_alone)]
    return TakenDown(deleted, teardown.gone, teardown.kept, {**teardown.others, **left_alone})


def _check_nothing_lives_on(run: Run, known: Sequence[Recorded]) -> None:
    """Raise ResourceError where somebody has meanwhile made more that bears the environment's tags."""
    run.ask_anew()
    with Reads(run, changed=True) as reads:
        searches = leftovers.begin(reads)
        reads.wait()
        alive = leftovers.found(reads, searches, known, ())
    if alive:
        raise ResourceError(
            f"{run.environment} is not fully down: these still exist with its tags: {', '.join(sorted(alive))}",
            f"Another command may be creating it: stop that command and run `{run.typed}` again",
        )
