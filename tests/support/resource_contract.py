"""What holds for every kind of resource, one function per clause; each raises AssertionError where it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from iotpipe.errors import ApplyFailed, RefusedError
from iotpipe.provision import ledger
from iotpipe.provision.adoption import EVERYTHING, Adoption
from iotpipe.provision.aws import Aws
from iotpipe.provision.plan import Plan
from iotpipe.provision.resource import Resource, everything
from iotpipe.provision.steps import Step
from tests.support.account_snapshot import once
from tests.support.engine_world import World
from tests.support.manual_edits import OTHER_TAGS, there
from tests.support.samples.sample import OURS, Act, Sample, Tampering

_shared: list[Aws] = []
_current: list[World] = []


class QuickWorld(World):
    """A world whose commands share one connection with all tests: making clients is most of what they cost.

    `after` is called like `before`, when the call was executed and its answer is on the way.
    """

    after: Callable[[str, dict[str, Any]], None] | None = None

    def connect(self) -> Aws:
        _current[:] = [self]
        if not _shared:
            aws = super().connect()
            aws.session.events.unregister("before-call", self._observe)
            aws.session.events.register("before-call", lambda **kwargs: _current[0]._observe(**kwargs))
            aws.session.events.register("after-call", lambda **kwargs: _answered(**kwargs))
            _shared.append(aws)
        return _shared[0]


def _answered(model: Any, parsed: Any, **kwargs: Any) -> None:
    world = _current[0]
    if isinstance(world, QuickWorld) and world.after and "Error" not in parsed:
        world.after(model.name, parsed)


class Killed(BaseException):
    """The process is gone, here and now."""


def kill(*ignored: Any) -> None:
    raise Killed


def lose(*ignored: Any) -> None:
    """AWS did it, but we never hear of it."""
    raise ConnectionClosedError(endpoint_url="https://aws.example")


def on_write(number: int, act: Callable[..., Any]) -> Callable[[str, Any], ClientError | None]:
    """Calls `act` at the write call of this number, the first is 0."""
    seen = [0]

    def observe(operation: str, answer: Any) -> ClientError | None:
        if operation.startswith(("Get", "List", "Describe")):
            return None
        seen[0] += 1
        if seen[0] - 1 == number:
            act()
        return None

    return observe


@contextmanager
def prepared(sample: Sample, directory: Path) -> Iterator[tuple[QuickWorld, Resource, list[Resource]]]:
    """A world in which everything that the sample needs is there, but not the sample."""
    world = QuickWorld(directory, parallel=1)
    target = sample.make()
    declared = everything(target)
    needed = [each for each in declared if each is not target]
    once(("needed", id(sample)), world, lambda: world.up(needed))
    yield world, target, declared


def brought_up(sample: Sample, directory: Path) -> tuple[QuickWorld, Resource, list[Resource]]:
    """A world in which the sample and everything that it needs is there."""
    world = QuickWorld(directory)
    target = sample.make()
    declared = everything(target)
    # Some tests replace one of the methods, to see the contract broken.
    kind = type(target)
    once(("up", id(sample), kind.read, kind.update), world, lambda: world.up(declared))
    return world, target, declared


def untouched(plan: Plan, but: str = "") -> bool:
    """Whether the plan does nothing to any other resource."""
    return all(step.action == "none" and not step.refusal for step in plan.steps if step.address != but)


def drifts(step: Step) -> set[str]:
    return {change.property for change in step.changes if change.drift}


# The clauses


def comes_and_goes(sample: Sample, directory: Path) -> None:
    """From nothing to up to nothing, each command doing what it must and no more."""
    world, target = QuickWorld(directory), sample.make()
    declared = everything(target)

    plan = world.plan(declared)
    assert {step.action for step in plan.steps} == {"create"}
    assert not any(step.drifted for step in plan.steps)
    assert not world.writes
    assert not list(directory.iterdir()), "a plan leaves no file"

    world.up(declared)
    assert sample.count() == 1
    writes = list(world.writes)
    assert all(writes.count(call) >= sample.creates.count(call) for call in sample.creates)

    assert untouched(world.plan(declared))
    assert not world.writes
    world.up(declared)
    assert not world.writes, "a second up writes nothing"
    before = world.path.read_bytes()
    world.up(declared)
    assert world.path.read_bytes() == before, "once the ids are recorded, there is nothing left to record"

    world.down(delete_data=True)
    if not target.shared:
        assert sample.count() == 0
    assert not _left(declared)
    assert not _rows(world)
    world.down(delete_data=True)
    assert not world.writes


def _left(declared: list[Resource]) -> set[str]:
    return there(each.kind for each in declared)


def _rows(world: World) -> dict[str, ledger.Row]:
    contents = ledger.read(world.path)
    return dict(contents.rows) if contents else {}


def repairs(sample: Sample, tampering: Tampering, directory: Path) -> None:
    """What somebody else changed is named, as drift, and nothing else; `up` puts it back and does nothing else."""
    world, target, declared = brought_up(sample, directory)
    tampering.act()

    plan = world.plan(declared)
    step = plan.of(target.address)
    assert step.action == "update"
    assert {change.property for change in step.changes} == set(tampering.drifts)
    assert drifts(step) == set(tampering.drifts)
    assert untouched(plan, but=target.address)
    assert not world.writes

    world.up(declared)
    assert sorted(world.writes) == sorted(tampering.repairs)
    assert untouched(world.plan(declared)), "what was repaired is as declared"


def comes_back(sample: Sample, directory: Path) -> None:
    """What somebody else deleted is missed and made again."""
    world, target, declared = brought_up(sample, directory)
    sample.remove()
    assert sample.count() == 0

    step = world.plan(declared).of(target.address)
    assert step.action == "create"
    assert step.missing and step.drifted

    world.up(declared)
    assert sample.count() == 1
    assert untouched(world.plan(declared))
    world.down(delete_data=True)
    assert not _left(declared)


def goes_though_gone(sample: Sample, directory: Path) -> None:
    """`down` of what somebody else has deleted already says so, and does not wait for its tags."""
    world, target, declared = brought_up(sample, directory)
    rows = _rows(world)
    sample.remove()
    done = world.taken_down(delete_data=True)
    assert not done.others
    if not target.shared and rows[target.address].inside not in rows:
        assert target.address in done.gone
    assert not _left(declared)
    assert not _rows(world)


def survives_a_kill(sample: Sample, directory: Path, call: int, how: str) -> None:
    """Killed right before or after one of the calls that make it: `up` completes it, and nothing twice."""
    with prepared(sample, directory) as (world, target, declared):
        _die(world, declared, call, how)
        row = _rows(world)[target.address]
        assert row.status == "creating"

        world.up(declared)
        assert sample.count() == 1
        assert untouched(world.plan(declared))
        world.down(delete_data=True)
        assert not _left(declared)


def is_removed_after_a_kill(sample: Sample, directory: Path, call: int, how: str) -> None:
    """Killed right before or after one of the calls that make it: `down` leaves nothing of it."""
    with prepared(sample, directory) as (world, target, declared):
        _die(world, declared, call, how)
        world.down(delete_data=True)
        if not target.shared:
            assert sample.count() == 0
        assert not _left(declared)
        assert not _rows(world)


def _die(world: QuickWorld, declared: list[Resource], call: int, how: str) -> None:
    setattr(world, how, on_write(call, kill))
    with pytest.raises(Killed):
        world.up(declared)
    world.before = world.after = None


def survives_a_lost_answer(sample: Sample, directory: Path, call: int) -> None:
    """AWS did it and the answer was lost: it is read again, and nothing is made twice."""
    with prepared(sample, directory) as (world, target, declared):
        world.after = on_write(call, lose)
        world.up(declared)
        world.after = None
        assert sample.count() == 1
        assert world.clock.slept, "a connection that failed is tried again after a while"
        assert {event.phase for event in world.events if event.address == target.address} >= {"waiting", "done"}
        assert untouched(world.plan(declared))
        world.down(delete_data=True)
        assert not _left(declared)


def survives_a_lost_ledger(sample: Sample, directory: Path) -> None:
    """Without its ledger, `up` finds what is ours, writes nothing, and `down` works again."""
    world, _, declared = brought_up(sample, directory)
    world.up(declared)
    before = _forgetting_times(world)
    world.path.unlink()
    world.up(declared)
    assert not world.writes
    assert _forgetting_times(world) == before
    world.down(delete_data=True)
    assert not _left(declared)


def _forgetting_times(world: World) -> dict[str, tuple[Any, ...]]:
    return {address: (row.status, row.properties, row.needs, row.inside) for address, row in _rows(world).items()}


# Whose it is


def refuses_what_is_not_ours(sample: Sample, directory: Path, tags: dict[str, str], adopt: Adoption) -> str:
    """What bears the name but not our tags is refused, nothing is written, and it says why."""
    with prepared(sample, directory) as (world, target, declared):
        assert sample.by_hand
        sample.by_hand(tags)
        ledger_before = world.path.read_bytes() if world.path.exists() else b""
        step = world.plan(declared, adopt).of(target.address)
        assert step.refusal
        with pytest.raises(RefusedError) as refused:
            world.up(declared, adopt)
        assert step.refusal in str(refused.value)
        assert not world.writes
        assert (world.path.read_bytes() if world.path.exists() else b"") == ledger_before
        assert sample.count() == 1
        return str(refused.value)


def adopts(sample: Sample, directory: Path) -> None:
    """With `--adopt` it is taken over as it is declared, our tags included, and theirs kept."""
    with prepared(sample, directory) as (world, _, declared):
        assert sample.by_hand and sample.tagging
        sample.by_hand(OTHER_TAGS)
        world.up(declared, adopt=EVERYTHING)
        assert sample.count() == 1
        assert sample.tagging.live() == OTHER_TAGS | OURS
        assert untouched(world.plan(declared))
        world.down(delete_data=True)
        assert sample.count() == 0


def leaves_to_others_what_it_never_made(sample: Sample, directory: Path) -> None:
    """Killed before the first call; then somebody else makes a thing of that name: it is not ours to delete."""
    with prepared(sample, directory) as (world, target, declared):
        _die(world, declared, 0, "before")
        assert sample.by_hand
        sample.by_hand(OTHER_TAGS)
        with pytest.raises((RefusedError, ApplyFailed)):
            world.up(declared)
        assert not world.writes
        world.down(delete_data=True)
        # What is part of something of ours goes with it.
        assert target.inside or sample.count() == 1, "it belongs to somebody else"
        assert not _rows(world)


def keeps_tags_right(sample: Sample, directory: Path) -> None:
    """Our tags are ours, those of others are theirs, and one that is no longer configured goes."""
    world, target, declared = brought_up(sample, directory)
    tagging = sample.tagging
    assert tagging

    def repaired(act: Act, path: str, call: str) -> None:
        act()
        plan = world.plan(declared, tags=tags)
        assert drifts(plan.of(target.address)) == {path} == {each.property for each in plan.of(target.address).changes}
        world.up(declared, tags=tags)
        assert world.writes == [call]
        assert untouched(world.plan(declared, tags=tags))

    tags = {"team": "devices"}
    assert {each.property for each in world.plan(declared, tags=tags).of(target.address).changes} == {"Tags.team"}
    assert not world.plan(declared, tags=tags).of(target.address).drifted
    world.up(declared, tags=tags)

    tagging.put(OTHER_TAGS)
    assert untouched(world.plan(declared, tags=tags))
    world.up(declared, tags=tags)
    assert not world.writes

    repaired(lambda: tagging.put({"team": "spam"}), "Tags.team", tagging.put_call)
    repaired(lambda: tagging.put({"iotpipe:managed-by": "hand"}), "Tags.iotpipe:managed-by", tagging.put_call)
    repaired(lambda: tagging.drop(["iotpipe:environment"]), "Tags.iotpipe:environment", tagging.put_call)

    gone = world.plan(declared).of(target.address)
    assert {each.property for each in gone.changes} == {"Tags.team"}
    assert not gone.drifted, "we change it, nobody else did"
    world.up(declared)
    assert tagging.drop_call in world.writes
    # Where one call replaces all tags, it sets them and removes them.
    assert tagging.put_call not in {*world.writes} - {tagging.drop_call}
    assert tagging.live() == OURS | OTHER_TAGS
    assert untouched(world.plan(declared))
