"""A rotation gives a device a second certificate and takes the first away, and nothing is left over at any kill."""

from __future__ import annotations

from pathlib import Path

import pytest

from iotpipe.devices import keys
from iotpipe.devices.rotation import Rotation
from iotpipe.errors import RefusedError, UsageError
from tests.devices.test_enrolment import STEPS
from tests.support.devices_world import AFTER, BEFORE, DevicesWorld, account, client, connect_device, once_at, whole

ROTATING = [
    *("private.key", "UpdateThing", "CreateCertificateFromCsr", "ca.pem"),
    *("publish-mosquitto.sh", "publish_paho.py", "publish_awsiot.py", "certificate.pem"),
    *("AttachPolicy", "AttachThingPrincipal", "UpdateThing (2)"),
]
FINISHING = [
    *("UpdateCertificate", "DeleteConnection", "DetachThingPrincipal", "DetachPolicy", "DeleteCertificate"),
    "UpdateThing",
]
TWO = {"things": {"dev:roof": ["ACTIVE", "ACTIVE"]}, "orphans": [], "without policy": []}


def instants(steps: list[str]) -> list[object]:
    return [pytest.param(step, moment, id=f"{moment} {step}") for step in steps for moment in (BEFORE, AFTER)]


def ids(rotation: Rotation) -> list[str]:
    return [each.certificate_id for each in rotation.certificates]


def test_both_certificates_work_until_the_old_one_is_deleted(world: DevicesWorld) -> None:
    old = world.enrol("roof").certificate_id
    rotation = world.rotate("roof")
    assert rotation.made and world.steps == ROTATING
    assert rotation.folder == world.out / "roof" / "rotation-1"
    assert len(rotation.certificates) == 2 and ids(rotation)[0] == old
    assert account() == TWO
    again = world.rotate("roof")
    assert not again.made and world.steps == []
    assert (ids(again), again.folder) == (ids(rotation), rotation.folder)
    finished = world.finish("roof")
    assert world.steps == FINISHING
    assert (finished.kept, finished.deleted) == (ids(rotation)[1], (old,))
    assert account() == whole("roof")
    assert world.finish("roof").deleted == () and world.steps == []


def test_the_next_rotation_gets_a_folder_of_its_own(world: DevicesWorld) -> None:
    world.enrol("roof")
    for number in (1, 2, 3):
        assert world.rotate("roof").folder == world.out / "roof" / f"rotation-{number}"
        world.finish("roof")
    assert account() == whole("roof")


@pytest.mark.sampled(6)
@pytest.mark.parametrize(("step", "moment"), instants(ROTATING))
def test_a_rotation_continues_after_a_kill(world: DevicesWorld, step: str, moment: str) -> None:
    world.enrol("roof")
    with world.dying(step, moment):
        world.rotate("roof")
    rotation = world.rotate("roof")
    assert rotation.folder == world.out / "roof" / "rotation-1"
    assert account() == TWO
    world.finish("roof")
    assert account() == whole("roof")


@pytest.mark.sampled(6)
@pytest.mark.parametrize(("step", "moment"), instants(ROTATING))
def test_another_operator_rotates_after_a_kill(
    world: DevicesWorld, other: DevicesWorld, step: str, moment: str
) -> None:
    world.enrol("roof")
    with world.dying(step, moment):
        world.rotate("roof")
    world.clock.time += 200
    other.rotate("roof")
    assert account() == TWO
    other.finish("roof")
    assert account() == whole("roof")


@pytest.mark.sampled(6)
@pytest.mark.parametrize(("step", "moment"), instants(ROTATING))
def test_what_is_left_of_an_interrupted_rotation_is_removed(world: DevicesWorld, step: str, moment: str) -> None:
    world.enrol("roof")
    with world.dying(step, moment):
        world.rotate("roof")
    world.remove("roof")
    assert account() == whole()


@pytest.mark.sampled(6)
@pytest.mark.parametrize(("step", "moment"), instants(FINISHING))
def test_the_end_of_a_rotation_continues_after_a_kill(world: DevicesWorld, step: str, moment: str) -> None:
    world.enrol("roof")
    kept = ids(world.rotate("roof"))[1]
    connect_device("roof")
    with world.dying(step, moment):
        world.finish("roof")
    assert world.finish("roof").kept == kept
    assert account() == whole("roof")
    assert client().describe_thing(thingName="dev:roof")["attributes"]["enrolment"] == f"done/{kept}"


def test_of_two_rotations_at_once_one_wins(world: DevicesWorld, other: DevicesWorld) -> None:
    def interfere() -> None:
        other.rotate("roof")
        world.connect()

    world.enrol("roof")
    world.before = once_at("UpdateThing", interfere)
    assert not world.rotate("roof").made
    world.before = None
    assert account() == TWO


def test_the_old_certificate_stays_until_the_new_one_was_used(world: DevicesWorld) -> None:
    world.enrol("roof")
    new = ids(world.rotate("roof"))[1]
    with pytest.raises(RefusedError, match=f"roof has not sent anything with its new certificate {new[:12]} yet"):
        world.finish("roof", used=False)
    assert account() == TWO


def test_an_unfinished_rotation_is_completed_before_its_end(world: DevicesWorld) -> None:
    world.enrol("roof")
    with world.dying("AttachThingPrincipal", AFTER):
        world.rotate("roof")
    with pytest.raises(RefusedError, match=r"`iotpipe device rotate roof --env dev` completes it"):
        world.finish("roof")
    world.rotate("roof")
    world.finish("roof")
    assert account() == whole("roof")


def test_a_revoked_device_gets_a_certificate_that_works(world: DevicesWorld) -> None:
    world.enrol("roof")
    world.rotate("roof")
    world.revoke("roof")
    with pytest.raises(RefusedError, match="the newest certificate of roof is revoked"):
        world.finish("roof")
    assert world.rotate("roof").made
    world.finish("roof", used=False)
    assert account() == whole("roof")


def test_a_device_without_a_certificate_gets_one(world: DevicesWorld) -> None:
    arn = world.registry.arn(world.enrol("roof").certificate_id)
    client().detach_thing_principal(thingName="dev:roof", principal=arn)
    with pytest.raises(RefusedError, match="roof has no certificate"):
        world.finish("roof")
    assert world.rotate("roof").made
    world.finish("roof")
    assert account() == whole("roof")


def test_a_device_that_is_not_enrolled_cannot_be_rotated(world: DevicesWorld) -> None:
    for act in (world.rotate, world.finish):
        with pytest.raises(UsageError, match="roof is not enrolled"):
            act("roof")
    assert not world.out.exists()


def test_an_enrolment_that_was_interrupted_can_be_completed_by_a_rotation(
    world: DevicesWorld, other: DevicesWorld
) -> None:
    with world.dying(STEPS[-1], BEFORE):
        world.enrol("roof")
    world.clock.time += 200
    assert other.rotate("roof").made
    other.finish("roof")
    assert account() == whole("roof")


def test_a_rotated_device_is_enrolled_with_the_files_of_its_rotation(world: DevicesWorld) -> None:
    world.enrol("roof")
    rotated = world.rotate("roof")
    assert world.enrol("roof").folder.path == world.out / "roof", "the first certificate still works"
    world.finish("roof")
    enrolled = world.enrol("roof")
    assert (enrolled.result, enrolled.folder.path) == ("already enrolled", rotated.folder)
    assert world.steps == []


def test_a_device_that_makes_its_keys_itself_can_be_rotated(world: DevicesWorld, tmp_path: Path) -> None:
    first, second = (keys.request_of(keys.new_key(), "dev:roof") for _ in range(2))
    world.enrol("roof", first)
    rotated = world.rotate("roof", second)
    world.finish("roof")
    enrolled = world.enrol("roof", first)
    assert (enrolled.result, enrolled.folder.path) == ("already enrolled", rotated.folder)
    assert account() == whole("roof")
