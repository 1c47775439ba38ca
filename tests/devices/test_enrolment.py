"""Enrolment ends with one certificate and its files, wherever it was interrupted and whoever else enrols."""

from __future__ import annotations

import os
import stat
from typing import Any

import pytest
from botocore.exceptions import ClientError

from iotpipe.errors import IotpipeError, RefusedError, ResourceError, UsageError
from tests.support.devices_world import (
    AFTER,
    BEFORE,
    NAMES,
    DevicesWorld,
    account,
    assert_complete,
    client,
    once_at,
    whole,
)
from tests.support.engine_world import refusal
from tests.support.resource_contract import lose

STEPS = [
    *("private.key", "CreateThing", "CreateCertificateFromCsr", "ca.pem"),
    *("publish-mosquitto.sh", "publish_paho.py", "publish_awsiot.py", "certificate.pem"),
    *("AttachPolicy", "AttachThingPrincipal", "UpdateThing"),
]
CALLS = [each for each in STEPS if each[0].isupper()]
INSTANTS = [pytest.param(step, moment, id=f"{moment} {step}") for step in STEPS for moment in (BEFORE, AFTER)]


def test_a_device_gets_one_certificate_in_this_order_and_a_second_time_nothing_happens(world: DevicesWorld) -> None:
    first = world.enrol("roof")
    assert (first.result, world.steps) == ("enrolled", STEPS)
    assert account() == whole("roof")
    assert_complete(world, "roof")
    second = world.enrol("roof")
    assert (second.result, second.certificate_id, world.steps) == ("already enrolled", first.certificate_id, [])


def test_the_certificate_belongs_to_its_thing_only(world: DevicesWorld) -> None:
    arn = world.registry.arn(world.enrol("roof").certificate_id)
    client().create_thing(thingName="other")
    with pytest.raises(ClientError, match="attached to another thing"):
        client().attach_thing_principal(thingName="other", principal=arn, thingPrincipalType="EXCLUSIVE_THING")


@pytest.mark.sampled(8)
@pytest.mark.parametrize(("step", "moment"), INSTANTS)
def test_it_continues_after_a_kill(world: DevicesWorld, step: str, moment: str) -> None:
    with world.dying(step, moment):
        world.enrol("roof")
    world.enrol("roof")
    assert account() == whole("roof")
    assert_complete(world, "roof")
    assert world.enrol("roof").result == "already enrolled"


@pytest.mark.parametrize("call", CALLS)
def test_a_lost_answer_makes_nothing_twice(world: DevicesWorld, call: str) -> None:
    def answered(operation: str, answer: Any) -> None:
        if operation == call and not lost:
            lost.append(call)
            lose()

    lost: list[str] = []
    world.after = answered
    world.enrol("roof")
    world.after = None
    assert lost and account() == whole("roof")
    assert_complete(world, "roof")


@pytest.mark.parametrize("call", CALLS)
def test_a_throttled_call_is_repeated(world: DevicesWorld, call: str) -> None:
    throttled: list[str] = []

    def before(operation: str, parameters: Any) -> ClientError | None:
        if operation != call or len(throttled) == 2:
            return None
        throttled.append(call)
        return refusal(operation, "ThrottlingException", "Rate exceeded")

    world.before = before
    world.enrol("roof")
    world.before = None
    assert len(throttled) == 2 and account() == whole("roof")


@pytest.mark.parametrize("call", CALLS)
def test_a_refused_call_is_told_and_the_next_command_continues(world: DevicesWorld, call: str) -> None:
    def before(operation: str, parameters: Any) -> ClientError | None:
        return refusal(operation, "AccessDeniedException", "no") if operation == call else None

    world.before = before
    with pytest.raises(ResourceError, match=f"AccessDeniedException: no. The credentials need .* for {call}"):
        world.enrol("roof")
    world.before = None
    world.enrol("roof")
    assert account() == whole("roof")
    assert_complete(world, "roof")


BEFORE_THE_THING_IS_ATTACHED = INSTANTS[: INSTANTS.index(INSTANTS[2 * STEPS.index("AttachThingPrincipal")]) + 1]


@pytest.mark.sampled(8)
@pytest.mark.parametrize(("step", "moment"), BEFORE_THE_THING_IS_ATTACHED)
def test_another_operator_completes_what_was_killed(
    world: DevicesWorld, other: DevicesWorld, step: str, moment: str
) -> None:
    with world.dying(step, moment):
        world.enrol("roof")
    world.clock.time += 200
    other.enrol("roof")
    assert account() == whole("roof")
    assert_complete(other, "roof")
    with pytest.raises(RefusedError):
        world.enrol("roof")
    assert account() == whole("roof")


@pytest.mark.parametrize("step", CALLS)
def test_of_two_operators_the_first_wins(world: DevicesWorld, other: DevicesWorld, step: str) -> None:
    def interfere() -> None:
        try:
            other.enrol("roof")
        except IotpipeError as error:
            failed.append(error)
        world.connect()  # the hooks of the connection are those of the world that used it last

    failed: list[IotpipeError] = []
    world.before = once_at(step, interfere)
    try:
        world.enrol("roof")
    except IotpipeError as error:
        failed.append(error)
    world.before = None
    assert account() == whole("roof")
    assert len(failed) == 1
    winner, loser = (other, world) if step == "CreateThing" else (world, other)
    assert_complete(winner, "roof")
    assert not loser.folder("roof").certificate_file.exists()


@pytest.mark.parametrize("step", [each for each in CALLS if each not in ("CreateThing", "UpdateThing")])
def test_a_slow_command_loses_to_one_that_takes_over_and_leaves_nothing(
    world: DevicesWorld, other: DevicesWorld, step: str
) -> None:
    def interfere() -> None:
        world.clock.time += 200
        other.enrol("roof")
        world.connect()

    world.before = once_at(step, interfere)
    with pytest.raises(RefusedError, match="another command has changed roof meanwhile"):
        world.enrol("roof")
    world.before = None
    assert account() == whole("roof")
    assert_complete(other, "roof")
    assert not world.folder("roof").path.exists() or not any(world.folder("roof").path.iterdir())


# What is refused


def test_an_enrolled_device_without_its_files_is_pointed_to_rotate(world: DevicesWorld, other: DevicesWorld) -> None:
    world.enrol("roof")
    with pytest.raises(RefusedError, match=r"roof is enrolled, and .* `iotpipe device rotate roof --env dev`"):
        other.enrol("roof")
    assert not other.folder("roof").path.exists()
    assert account() == whole("roof")


def test_a_lost_certificate_file_is_written_again(world: DevicesWorld) -> None:
    enrolled = world.enrol("roof")
    enrolled.folder.certificate_file.unlink()
    assert world.enrol("roof").result == "already enrolled"
    assert_complete(world, "roof")


@pytest.mark.parametrize("attributes", [{}, {"iotpipe": "prod"}, {"room": "1"}], ids=str)
def test_a_thing_of_somebody_else_is_left_alone(world: DevicesWorld, attributes: dict[str, str]) -> None:
    client().create_thing(thingName="dev:roof", attributePayload={"attributes": attributes})
    with pytest.raises(RefusedError, match="there is a thing dev:roof that iotpipe did not make"):
        world.enrol("roof")
    assert client().describe_thing(thingName="dev:roof")["attributes"] == attributes


def test_a_thing_without_a_certificate_is_completed_and_keeps_its_attributes(world: DevicesWorld) -> None:
    client().create_thing(thingName="dev:roof", attributePayload={"attributes": {"iotpipe": "dev", "room": "1"}})
    world.enrol("roof")
    assert account() == whole("roof")
    assert (
        client().describe_thing(thingName="dev:roof")["attributes"].items() >= {"iotpipe": "dev", "room": "1"}.items()
    )


def test_the_key_of_an_earlier_enrolment_is_not_used_again(world: DevicesWorld) -> None:
    arn = world.registry.arn(world.enrol("roof").certificate_id)
    client().detach_thing_principal(thingName="dev:roof", principal=arn)
    client().delete_thing(thingName="dev:roof")
    with pytest.raises(UsageError, match="holds the files of another enrolment, of dev:roof"):
        world.enrol("roof")


def test_a_folder_that_another_command_writes_is_left_to_it(world: DevicesWorld) -> None:
    with world.folder("roof").locked(), pytest.raises(UsageError, match="another command is writing"):
        world.enrol("roof")
    assert account() == whole()


def test_without_the_policy_nothing_stays_unfinished(world: DevicesWorld) -> None:
    client().delete_policy(policyName=NAMES.device_policy)
    with pytest.raises(UsageError, match="dev has no policy for devices"):
        world.enrol("roof")
    client().create_policy(policyName=NAMES.device_policy, policyDocument="{}")
    world.enrol("roof")
    assert account() == whole("roof")


# The private key


def test_only_the_user_can_read_what_is_written(world: DevicesWorld) -> None:
    before = os.umask(0)
    try:
        folder = world.enrol("roof").folder
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [folder.path, *folder.path.iterdir()]}
    assert {name for name, mode in modes.items() if mode & 0o077} == set()
    assert modes["private.key"] == 0o600


def test_the_private_key_is_never_sent(world: DevicesWorld) -> None:
    sent: list[str] = []
    world.before = lambda operation, parameters: sent.append(repr(parameters))
    folder = world.enrol("roof").folder
    secret = folder.key_file.read_text().splitlines()[1]
    assert any("CERTIFICATE REQUEST" in each for each in sent)
    assert not any("PRIVATE" in each or secret in each for each in sent)


def test_what_a_kill_left_of_a_key_is_removed(world: DevicesWorld) -> None:
    folder = world.folder("roof")
    folder.path.mkdir(parents=True)
    (folder.path / ".private.key.abcdefgh").write_text("half a key")
    world.enrol("roof")
    assert not list(folder.path.glob(".*"))


def test_a_long_name_gets_a_common_name_that_x509_has_room_for(world: DevicesWorld) -> None:
    name = "a" * (127 - len("dev"))
    world.enrol(name)
    assert_complete(world, name)
