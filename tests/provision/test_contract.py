"""The contract of a resource, for every kind there is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from iotpipe.configuration.formats import MOST_TAGS
from iotpipe.errors import RefusedError
from iotpipe.provision.adoption import EVERYTHING, NOTHING, Adoption
from iotpipe.provision.resource import Properties, Resource, everything
from iotpipe.provision.run import Run
from tests.support import resource_contract
from tests.support.account_inventory import inventory
from tests.support.manual_edits import LISTED_WITH_ANOTHER, OTHER_TAGS, there
from tests.support.resource_contract import QuickWorld
from tests.support.samples.every_kind import SAMPLES
from tests.support.samples.sample import OURS, Tampering

pytestmark = pytest.mark.together

KINDS = sorted(SAMPLES)
TAGGED = [kind for kind in KINDS if SAMPLES[kind].tagging]
OWNED = [kind for kind in KINDS if SAMPLES[kind].by_hand]
TAMPERINGS = [
    pytest.param(kind, tampering, id=f"{kind}: {tampering.what}")
    for kind in KINDS
    for tampering in SAMPLES[kind].tamperings
]
CALLS = [
    pytest.param(kind, number, id=f"{kind}: {call}")
    for kind in KINDS
    for number, call in enumerate(SAMPLES[kind].creates)
]
# Between two calls nothing happens: right after one is right before the next.
INSTANTS = [
    *(pytest.param(*each.values, "before", id=f"before {each.id}") for each in CALLS),
    *(pytest.param(kind, len(SAMPLES[kind].creates) - 1, "after", id=f"after {kind}") for kind in KINDS),
]


def test_every_kind_has_a_sample_and_there_is_no_other() -> None:
    registered = {kind for kind, made in Resource.kinds.items() if made.__module__.startswith("iotpipe.")}
    assert registered == set(SAMPLES)


@pytest.mark.matrix
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_is_left_of_a_kind_would_be_seen(kind: str, world: QuickWorld) -> None:
    """Else every test that nothing is left passes, whatever is left of this kind."""
    target = SAMPLES[kind].make()
    world.up([each for each in everything(target) if each is not target])
    without = inventory()
    world.up(everything(target))
    assert inventory() != without, "tests/support/account_inventory.py has to list this kind"
    assert there([kind]) or kind in LISTED_WITH_ANOTHER


@pytest.mark.parametrize("kind", KINDS)
def test_every_property_is_tampered_with_or_cannot_be(kind: str, world: QuickWorld) -> None:
    sample = SAMPLES[kind]
    target = sample.make()
    desired = set(target.desired(world.run()))
    tampered = {path.split(".")[0] for tampering in sample.tamperings for path in tampering.drifts}
    tagged = {"Tags"} if sample.tagging else set()
    assert tampered | tagged | target.immutable | set(sample.exempt) == desired
    assert set(sample.fixed) == target.immutable - {"PackageType"}


@pytest.mark.parametrize("kind", KINDS)
def test_it_comes_and_goes_and_a_second_time_nothing_happens(kind: str, tmp_path: Path) -> None:
    resource_contract.comes_and_goes(SAMPLES[kind], tmp_path)


@pytest.mark.sampled(35)
@pytest.mark.parametrize(("kind", "tampering"), TAMPERINGS)
def test_drift_is_named_and_repaired(kind: str, tampering: Tampering, tmp_path: Path) -> None:
    resource_contract.repairs(SAMPLES[kind], tampering, tmp_path)


@pytest.mark.parametrize("kind", TAGGED)
def test_tags_are_kept_right(kind: str, tmp_path: Path) -> None:
    resource_contract.keeps_tags_right(SAMPLES[kind], tmp_path)


@pytest.mark.parametrize("kind", TAGGED)
def test_as_many_tags_as_may_be_configured_are_all_read(kind: str, world: QuickWorld) -> None:
    sample, many = SAMPLES[kind], {f"tag-{number}": str(number) for number in range(MOST_TAGS)}
    declared = everything(sample.make())
    world.up(declared, tags=many)
    assert sample.tagging and sample.tagging.live() == many | OURS
    assert resource_contract.untouched(world.plan(declared, tags=many))


@pytest.mark.parametrize("kind", KINDS)
def test_it_comes_back_when_somebody_deleted_it(kind: str, tmp_path: Path) -> None:
    resource_contract.comes_back(SAMPLES[kind], tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_down_does_not_mind_that_it_is_gone(kind: str, tmp_path: Path) -> None:
    resource_contract.goes_though_gone(SAMPLES[kind], tmp_path)


@pytest.mark.sampled(20)
@pytest.mark.parametrize(("kind", "call", "how"), INSTANTS)
def test_up_goes_on_after_a_kill(kind: str, call: int, how: str, tmp_path: Path) -> None:
    resource_contract.survives_a_kill(SAMPLES[kind], tmp_path, call, how)


@pytest.mark.sampled(20)
@pytest.mark.parametrize(("kind", "call", "how"), INSTANTS)
def test_down_removes_what_a_kill_left(kind: str, call: int, how: str, tmp_path: Path) -> None:
    resource_contract.is_removed_after_a_kill(SAMPLES[kind], tmp_path, call, how)


@pytest.mark.sampled(20)
@pytest.mark.parametrize(("kind", "call"), CALLS)
def test_a_lost_answer_makes_nothing_twice(kind: str, call: int, tmp_path: Path) -> None:
    resource_contract.survives_a_lost_answer(SAMPLES[kind], tmp_path, call)


@pytest.mark.parametrize("kind", KINDS)
def test_a_lost_ledger_is_no_loss(kind: str, tmp_path: Path) -> None:
    resource_contract.survives_a_lost_ledger(SAMPLES[kind], tmp_path)


@pytest.mark.parametrize("kind", OWNED)
def test_what_is_not_ours_is_refused(kind: str, tmp_path: Path) -> None:
    said = resource_contract.refuses_what_is_not_ours(SAMPLES[kind], tmp_path, OTHER_TAGS, adopt=NOTHING)
    assert "--adopt" in said


@pytest.mark.parametrize("kind", OWNED)
@pytest.mark.parametrize("adopt", [NOTHING, EVERYTHING], ids=["plainly", "adopting"])
def test_what_another_environment_has_is_refused(kind: str, adopt: Adoption, tmp_path: Path) -> None:
    tags = OURS | {"iotpipe:environment": "staging"}
    said = resource_contract.refuses_what_is_not_ours(SAMPLES[kind], tmp_path, tags, adopt)
    assert "'staging'" in said and "suffix" in said


@pytest.mark.parametrize("kind", OWNED)
def test_it_is_taken_over_when_asked_to(kind: str, tmp_path: Path) -> None:
    resource_contract.adopts(SAMPLES[kind], tmp_path)


@pytest.mark.parametrize("kind", OWNED)
def test_a_stranger_of_the_same_name_is_left_alone(kind: str, tmp_path: Path) -> None:
    resource_contract.leaves_to_others_what_it_never_made(SAMPLES[kind], tmp_path)


FIXED = [pytest.param(kind, name, id=f"{kind}: {name}") for kind in KINDS for name in SAMPLES[kind].fixed]


@pytest.mark.parametrize(("kind", "name"), FIXED)
def test_what_cannot_be_changed_in_place_is_refused(kind: str, name: str, tmp_path: Path) -> None:
    sample = SAMPLES[kind]
    world, target, declared = resource_contract.brought_up(sample, tmp_path)
    sample.fixed[name]()
    assert name in world.plan(declared).of(target.address).refusal
    with pytest.raises(RefusedError, match="never replaces"):
        world.up(declared)
    assert not world.writes


# Is the contract any good?

ONE_EACH = [pytest.param(kind, SAMPLES[kind].tamperings[0], id=kind) for kind in KINDS if SAMPLES[kind].tamperings]


def _does_nothing(self: Resource, run: Run, desired: Properties, observed: Properties) -> Properties:
    return {}


def _always_as_declared(read: Callable[..., Properties | None], name: str) -> Callable[..., Properties | None]:
    def observed(self: Resource, run: Run) -> Properties | None:
        found = read(self, run)
        return found and found | {name: self.desired(run)[name]}

    return observed


@pytest.mark.sampled(6)
@pytest.mark.parametrize(("kind", "tampering"), ONE_EACH)
def test_the_contract_notices_an_update_that_does_nothing(
    kind: str, tampering: Tampering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Resource.kinds[kind], "update", _does_nothing)
    with pytest.raises(AssertionError):
        resource_contract.repairs(SAMPLES[kind], tampering, tmp_path)


@pytest.mark.sampled(6)
@pytest.mark.parametrize(("kind", "tampering"), ONE_EACH)
def test_the_contract_notices_a_read_that_does_not_look(
    kind: str, tampering: Tampering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Resource.kinds[kind]
    name = tampering.drifts[0].split(".")[0]
    monkeypatch.setattr(made, "read", _always_as_declared(made.read, name))
    with pytest.raises(AssertionError):
        resource_contract.repairs(SAMPLES[kind], tampering, tmp_path)
