"""How the embedded AWS ends MQTT connections, and what it refuses as AWS IoT does."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable
from contextlib import closing, suppress

import pytest
from botocore.exceptions import ClientError

from tests.support.local_machine import eventually
from tests.support.mqtt_devices import NOT_AUTHORIZED, POLICY, SUBSCRIBED, SUCCESS, V5, V311, Fleet, Identity
from tests.support.mqtt_packets import packet, text, wire

pytestmark = pytest.mark.embedded

ADMINISTRATIVE_ACTION, TOO_LARGE, INVALID_CLIENT_ID, INVALID_FILTER, INVALID_TOPIC = 0x98, 0x95, 0x85, 0x8F, 0x90
"""Reason codes of MQTT 5."""

REVOCATIONS: dict[str, Callable[[Fleet, str, Identity], object]] = {
    "deactivated": lambda fleet, thing, owner: fleet.iot.update_certificate(
        certificateId=owner.certificate_id, newStatus="INACTIVE"
    ),
    "revoked": lambda fleet, thing, owner: fleet.iot.update_certificate(
        certificateId=owner.certificate_id, newStatus="REVOKED"
    ),
    "without thing": lambda fleet, thing, owner: fleet.iot.detach_thing_principal(thingName=thing, principal=owner.arn),
    "without policy": lambda fleet, thing, owner: fleet.iot.detach_policy(policyName=POLICY, target=owner.arn),
}


@pytest.mark.parametrize("revocation", REVOCATIONS)
@pytest.mark.parametrize("version", [V5, V311])
def test_a_connection_ends_as_soon_as_its_device_could_not_connect_again(
    fleet: Fleet, revocation: str, version: int
) -> None:
    thing = f"dev:{revocation.replace(' ', '-')}{version}"
    owner = fleet.enrolled(thing)
    with (
        fleet.connect(f"{thing}-neighbour", fleet.enrolled(f"{thing}-neighbour")) as neighbour,
        fleet.connect(thing, owner, version=version) as device,
    ):
        REVOCATIONS[revocation](fleet, thing, owner)
        assert device.closed() == (NOT_AUTHORIZED if version == V5 else 0)
        fleet.refused(thing, owner, version=version)
        assert neighbour.publish(f"iotpipe/dev/{thing}-neighbour/readings", "{}") == SUCCESS


def test_a_connection_ends_when_its_certificate_is_deleted_with_force(fleet: Fleet) -> None:
    owner = fleet.free("dev:anyone")
    with fleet.connect("dev:anyone", owner) as device:
        fleet.iot.update_certificate(certificateId=owner.certificate_id, newStatus="INACTIVE")
        fleet.iot.delete_certificate(certificateId=owner.certificate_id, forceDelete=True)
        assert device.closed() == NOT_AUTHORIZED
    assert fleet.refused("dev:anyone", owner) == 0


def test_a_new_version_of_a_policy_ends_the_connections_that_it_forbids(fleet: Fleet) -> None:
    def allowing(client: str) -> str:
        resource = f"arn:aws:iot:us-east-1:000000000000:client/{client}"
        return json.dumps({"Statement": [{"Effect": "Allow", "Action": "iot:Connect", "Resource": resource}]})

    fleet.iot.create_policy(policyName="versions", policyDocument=allowing("*"))
    owner = fleet.certificate("dev:versions")
    fleet.iot.attach_policy(policyName="versions", target=owner.arn)
    with fleet.connect("dev:a", owner) as first, fleet.connect("dev:b", owner) as second:
        fleet.iot.create_policy_version(policyName="versions", policyDocument=allowing("dev:b"), setAsDefault=True)
        assert first.closed() == NOT_AUTHORIZED
        assert second.connected


def test_get_connection_describes_a_connection_and_its_end(fleet: Fleet) -> None:
    with pytest.raises(fleet.data.exceptions.ResourceNotFoundException):
        fleet.data.get_connection(clientId="dev:described")
    with fleet.connect("dev:described", fleet.enrolled("dev:described")):
        found = fleet.data.get_connection(clientId="dev:described", includeSocketInformation=True)
        assert {
            "clientId": "dev:described",
            "connected": True,
            "thingName": "dev:described",
            "cleanSession": True,
            "keepAliveDuration": 60,
            "sessionExpiry": 0,
            "sourceIp": "127.0.0.1",
        }.items() <= found.items()
        assert found["connectedSince"] > 1_700_000_000_000
        assert found["sourcePort"] > 0
        assert "sourceIp" not in fleet.data.get_connection(clientId="dev:described")
    found = eventually(lambda: not (it := fleet.data.get_connection(clientId="dev:described"))["connected"] and it)
    assert found["disconnectReason"] == "CLIENT_INITIATED_DISCONNECT"
    assert found["disconnectedSince"] > 1_700_000_000_000
    with pytest.raises(fleet.data.exceptions.InvalidRequestException):
        fleet.data.get_connection(clientId="$dev")


def test_delete_connection_ends_it_once_with_its_will_unless_that_is_prevented(fleet: Fleet) -> None:
    url = fleet.queue_of_readings()
    owner = fleet.enrolled("dev:deleted")
    for prevented in (True, False):
        will = ("iotpipe/dev/dev:deleted/readings", json.dumps({"prevented": prevented}))
        with fleet.connect("dev:deleted", owner, will=will) as device:
            fleet.data.delete_connection(clientId="dev:deleted", preventWillMessage=prevented)
            assert device.closed() == ADMINISTRATIVE_ACTION
            with pytest.raises(fleet.data.exceptions.ResourceNotFoundException):
                fleet.data.delete_connection(clientId="dev:deleted")
            found = fleet.data.get_connection(clientId="dev:deleted")
            assert found["disconnectReason"] == "API_INITIATED_DISCONNECT"
    assert fleet.bodies(url) == [{"prevented": False}]


KIBIBYTES = 1024


@pytest.mark.parametrize("version", [V5, V311])
@pytest.mark.parametrize("kibibytes", [129, 1000])
def test_too_large_a_payload_ends_the_connection(fleet: Fleet, version: int, kibibytes: int) -> None:
    thing = f"dev:large{version}-{kibibytes}"
    topic = f"iotpipe/dev/{thing}/readings"
    with fleet.connect(thing, fleet.enrolled(thing), version=version) as device:
        assert device.publish(topic, bytes(128 * KIBIBYTES)) == SUCCESS
        assert device.publish(topic, bytes(kibibytes * KIBIBYTES)) is None
        # What is far too large is not read to its end, so that the client is not told.
        assert device.closed() == (TOO_LARGE if version == V5 and kibibytes == 129 else 0)


def test_the_levels_of_topics_are_counted_as_on_aws(fleet: Fleet) -> None:
    owner = fleet.free("dev:deep")
    seven = "a/b/c/d/e/f/g/h"
    with fleet.connect("dev:deep", owner) as device:
        assert device.publish(seven, "{}") == SUCCESS
        assert device.publish(f"$aws/rules/missing/{seven}", "{}") == SUCCESS
        assert device.subscribe(f"{seven[:-2]}/#") == SUBSCRIBED
        assert device.subscribe(f"{seven}/#") == INVALID_FILTER
        assert device.publish(f"{seven}/i", "{}") is None
        assert device.closed() == INVALID_TOPIC
    for topic, code in ((f"{seven}/i", "InvalidRequestException"), (257 * "a", "InvalidRequestException")):
        with pytest.raises(ClientError, match=code):
            fleet.data.publish(topic=topic, payload=b"{}")
    fleet.data.publish(topic=256 * "a", payload=bytes(128 * KIBIBYTES))
    with pytest.raises(fleet.data.exceptions.RequestEntityTooLargeException):
        fleet.data.publish(topic="a", payload=bytes(128 * KIBIBYTES + 1))


@pytest.mark.parametrize("version", [V5, V311])
def test_a_client_id_has_at_most_128_bytes(fleet: Fleet, version: int) -> None:
    owner = fleet.free(f"dev:long{version}")
    with fleet.connect(64 * "é", owner, version=version) as device:
        assert device.connected
    assert fleet.refused(129 * "a", owner, version=version) == INVALID_CLIENT_ID


PROTOCOL = text("MQTT") + b"\4\2\0\x3c"
PUBLISH = packet(0x30, text("anything"), b"{}")
VIOLATIONS = {
    "a publish before the connect": PUBLISH,
    "a connect that is cut short": packet(0x10, text("MQTT")) + PUBLISH,
    "a connect that is cut short before the client id": packet(0x10, PROTOCOL[:7]) + PUBLISH,
    "a second connect": packet(0x10, PROTOCOL, text("dev:first")) + packet(0x10, PROTOCOL, text("dev:second")),
    "a publish with QoS 2": packet(0x10, PROTOCOL, text("dev:first")) + packet(0x34, text("a"), b"\0\1{}"),
}


@pytest.mark.parametrize("violation", VIOLATIONS)
def test_a_violation_of_the_protocol_ends_the_connection(fleet: Fleet, violation: str) -> None:
    context = fleet.context(fleet.free(f"dev:{list(VIOLATIONS).index(violation)}"))
    with fleet.connect("dev:listening", fleet.free("dev:listening")) as listening:
        assert listening.subscribe("anything") == SUBSCRIBED
        with (
            closing(socket.create_connection(("127.0.0.1", fleet.port), timeout=10)) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as client,
        ):
            client.sendall(VIOLATIONS[violation])
            while client.recv(100):
                pass
        assert listening.publish("anything", "the end") == SUCCESS
        assert listening.message().payload == b"the end"
    for client_id in ("dev:first", "dev:second"):
        with suppress(fleet.data.exceptions.ResourceNotFoundException):
            assert not fleet.data.get_connection(clientId=client_id)["connected"]


def test_clients_that_send_a_lot_at_once_take_turns(fleet: Fleet) -> None:
    pid, number = fleet.machine.record.pid, 300
    with (
        fleet.connect("dev:listener", fleet.free("dev:listener")) as listener,
        wire(fleet.port, fleet.context(fleet.free("dev:one"))) as one,
        wire(fleet.port, fleet.context(fleet.free("dev:two"))) as two,
    ):
        assert listener.subscribe("turns", qos=0) == 0
        assert one.connect("dev:one") == two.connect("dev:two") == "connack 0x00"
        os.kill(pid, signal.SIGSTOP)  # so that it finds everything when it goes on
        try:
            one.send(number * packet(0x30, text("turns"), b"\0one"))
            two.send(number * packet(0x30, text("turns"), b"\0two"))
        finally:
            os.kill(pid, signal.SIGCONT)
        listener.until(lambda: len(listener.received) == 2 * number)
        order = [message.payload for message in listener.received]
    assert {b"one", b"two"} == set(order[:number])
