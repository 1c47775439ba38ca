"""Revoked devices are disconnected at once, and of removed ones nothing is left, wherever a command was interrupted."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from iotpipe.errors import RefusedError, ResourceError, UsageError
from tests.support.aws_errors import OF_DEVICES, Answer
from tests.support.devices_world import (
    AFTER,
    BEFORE,
    DevicesWorld,
    account,
    client,
    connect_device,
    is_connected,
    whole,
)
from tests.support.engine_world import refusal
from tests.support.resource_contract import lose

REMOVING = [
    *("UpdateCertificate", "DeleteConnection", "DetachThingPrincipal", "DetachPolicy", "DeleteCertificate"),
    "DeleteThing",
]
INSTANTS = [pytest.param(step, moment, id=f"{moment} {step}") for step in REMOVING for moment in (BEFORE, AFTER)]


def by_hand(certificates: int = 1) -> list[str]:
    """Attach certificates to the thing of `roof` that iotpipe does not know."""
    made = [client().create_keys_and_certificate(setAsActive=True)["certificateArn"] for _ in range(certificates)]
    for arn in made:
        client().attach_thing_principal(thingName="dev:roof", principal=arn)
    return made


def test_a_revoked_device_is_disconnected_after_it_cannot_come_back(world: DevicesWorld) -> None:
    enrolled = world.enrol("roof")
    connect_device("roof")
    assert world.revoke("roof").certificates == (enrolled.certificate_id,)
    assert world.steps == ["UpdateCertificate", "DeleteConnection"]
    assert account()["things"] == {"dev:roof": ["INACTIVE"]}
    assert not is_connected("roof")
    assert world.revoke("roof").certificates == ()
    assert world.enrol("roof").active is False


def test_every_certificate_is_revoked(world: DevicesWorld) -> None:
    world.enrol("roof")
    by_hand(2)
    world.revoke("roof")
    assert account()["things"] == {"dev:roof": ["INACTIVE"] * 3}


def test_of_a_removed_device_nothing_is_left(world: DevicesWorld) -> None:
    for each in ("roof", "cellar"):
        world.enrol(each)
    connect_device("roof")
    assert world.remove("roof").existed
    assert world.steps == REMOVING
    assert account() == whole("cellar")
    assert not is_connected("roof")
    assert not world.remove("roof").existed
    assert account() == whole("cellar")


def test_a_removed_device_can_be_enrolled_again(world: DevicesWorld) -> None:
    world.enrol("roof").folder.discard(with_key=True)
    world.remove("roof")
    world.enrol("roof")
    assert account() == whole("roof")


@pytest.mark.sampled(8)
@pytest.mark.parametrize("certificates", [0, 1], ids=["iotpipe's", "and one made by hand"])
@pytest.mark.parametrize(("step", "moment"), INSTANTS)
def test_removal_continues_after_a_kill(world: DevicesWorld, step: str, moment: str, certificates: int) -> None:
    world.enrol("roof")
    by_hand(certificates)
    connect_device("roof")
    with world.dying(step, moment):
        world.remove("roof")
    world.remove("roof")
    assert account() == whole()


@pytest.mark.parametrize("call", REMOVING)
def test_removal_survives_a_lost_answer(world: DevicesWorld, call: str) -> None:
    def answered(operation: str, answer: Any) -> None:
        if operation == call and not lost:
            lost.append(call)
            lose()

    world.enrol("roof")
    connect_device("roof")
    lost: list[str] = []
    world.after = answered
    world.remove("roof")
    world.after = None
    assert lost and account() == whole()


@pytest.mark.parametrize("call", REMOVING)
def test_a_refused_call_is_told_and_the_next_removal_continues(world: DevicesWorld, call: str) -> None:
    def before(operation: str, parameters: Any) -> ClientError | None:
        return refusal(operation, "AccessDeniedException", "no") if operation == call else None

    world.enrol("roof")
    world.before = before
    with pytest.raises(ResourceError, match=f"AccessDeniedException: no. The credentials need .* for {call}"):
        world.remove("roof")
    world.before = None
    world.remove("roof")
    assert account() == whole()


ENROLLING = ["CreateThing", "CreateCertificateFromCsr", "AttachPolicy", "AttachThingPrincipal", "UpdateThing"]


@pytest.mark.sampled(8)
@pytest.mark.parametrize("moment", [BEFORE, AFTER])
@pytest.mark.parametrize("step", ENROLLING)
def test_what_is_left_of_an_interrupted_enrolment_is_removed(world: DevicesWorld, step: str, moment: str) -> None:
    with world.dying(step, moment):
        world.enrol("roof")
    world.remove("roof")
    assert account() == whole()


@pytest.mark.parametrize("answer", OF_DEVICES, ids=lambda each: each.id)
def test_what_aws_sees_late_is_waited_for(world: DevicesWorld, answer: Answer) -> None:
    world.enrol("roof")
    fault = answer.fault(3)
    world.before = fault
    world.remove("roof")
    world.before = None
    assert len(fault.at) == 4 and account() == whole()
    assert any(event.phase == "waiting" and answer.reason in event.detail for event in world.events)


def test_a_certificate_that_another_thing_uses_as_well_is_only_detached(world: DevicesWorld) -> None:
    world.enrol("roof")
    [shared] = by_hand()
    client().create_thing(thingName="gateway")
    client().attach_thing_principal(thingName="gateway", principal=shared)
    world.remove("roof")
    assert account()["things"] == {"gateway": ["ACTIVE"]}


@pytest.mark.parametrize("attributes", [{}, {"iotpipe": "prod"}], ids=str)
def test_a_thing_of_somebody_else_is_neither_revoked_nor_removed(
    world: DevicesWorld, attributes: dict[str, str]
) -> None:
    client().create_thing(thingName="dev:roof", attributePayload={"attributes": attributes})
    by_hand()
    for act in (world.revoke, world.remove):
        with pytest.raises(RefusedError, match="there is a thing dev:roof that iotpipe did not make"):
            act("roof")
    assert account()["things"] == {"dev:roof": ["ACTIVE"]}


def test_a_device_that_is_not_enrolled_cannot_be_revoked(world: DevicesWorld) -> None:
    with pytest.raises(UsageError, match=r"roof is not enrolled. `iotpipe device add roof --env dev` enrols it"):
        world.revoke("roof")
