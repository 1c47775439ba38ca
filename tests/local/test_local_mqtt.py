"""MQTT in the embedded AWS: who is let in, what devices may do, and what survives a restart."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import ssl
import stat
import warnings
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from iotpipe.errors import IotpipeError
from iotpipe.local import mqtt
from tests.support import mqtt_devices
from tests.support.local_machine import Machine
from tests.support.mqtt_devices import V5, V311, Identity, Refused

pytestmark = pytest.mark.embedded

POLICY = "device"
SUCCESS, SUBSCRIBED, NOT_AUTHORIZED = 0, 1, 0x87
"""Reason codes of MQTT 5."""


def wall() -> str:
    """The policy of every device: it may act under its own name only."""
    region = "arn:aws:iot:us-east-1:000000000000"
    own = "${iot:Connection.Thing.ThingName}"
    attached = {"Bool": {"iot:Connection.Thing.IsAttached": "true"}}
    statements = [
        ("Connect", [f"{region}:client/{own}"], {"Condition": attached}),
        ("Publish", [f"{region}:topic/iotpipe/dev/{own}/readings"], {}),
        ("Publish", [f"{region}:topic/$aws/rules/iotpipe_dev/iotpipe/dev/{own}/readings"], {}),
        ("Subscribe", [f"{region}:topicfilter/iotpipe/dev/{own}/errors"], {}),
        ("Receive", [f"{region}:topic/iotpipe/dev/{own}/errors"], {}),
    ]
    listed = [
        {"Effect": "Allow", "Action": f"iot:{action}", "Resource": resources} | more
        for action, resources, more in statements
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": listed})


@pytest.fixture(scope="module")
def iot(running: Machine) -> Any:
    iot = running.client("iot")
    iot.create_policy(policyName=POLICY, policyDocument=wall())
    return iot


Connect = Callable[..., Any]


@pytest.fixture(scope="module")
def connect(running: Machine, iot: Any) -> Connect:
    """Connect a device to the engine; `port` and certificate authority are the engine's own."""
    address = iot.describe_endpoint(endpointType="iot:Data-ATS")["endpointAddress"]
    host, _, port = address.partition(":")
    assert host == "localhost"
    assert int(port) == running.record.mqtt_port

    def connect(client_id: str, owner: Identity | None, **more: Any) -> Any:
        return mqtt_devices.connected(int(port), running.engine_directory.mqtt_ca, client_id, owner, **more)

    return connect


@pytest.fixture(scope="module")
def enrolled(running: Machine, iot: Any) -> Callable[[str], Identity]:
    """Enrol a device as iotpipe does."""

    def enrol(thing: str) -> Identity:
        return mqtt_devices.attach(iot, thing, POLICY, mqtt_devices.identity(iot, running.directory, thing))

    return enrol


def foreign(directory: Any) -> Identity:
    """Return the certificate of another authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "dev:roof")])
    now = datetime.now(UTC)
    issued = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    files = Identity(directory / "foreign.key", directory / "foreign.crt")
    files.key.write_bytes(mqtt_devices.private(key))
    files.certificate.write_bytes(issued.public_bytes(serialization.Encoding.PEM))
    return files


def refused(attempt: Any) -> int:
    """Return the reason code with which a connection is refused."""
    with pytest.raises(Refused) as raised, attempt:
        pass
    return raised.value.code


def test_a_device_acts_under_its_own_name_only(connect: Connect, enrolled: Any) -> None:
    enrolled("dev:other")
    with connect("dev:own", enrolled("dev:own")) as device:
        assert device.publish("iotpipe/dev/dev:own/readings", "{}") == SUCCESS
        assert device.publish("$aws/rules/iotpipe_dev/iotpipe/dev/dev:own/readings", "{}") == SUCCESS
        assert device.publish("iotpipe/dev/dev:other/readings", "{}") == NOT_AUTHORIZED
        assert device.publish("$aws/rules/iotpipe_dev/iotpipe/dev/dev:other/readings", "{}") == NOT_AUTHORIZED
        assert device.publish("iotpipe/dev/dev:own/errors", "{}") == NOT_AUTHORIZED
        assert device.publish("iotpipe/dev/dev:own/readings", "{}", retain=True) == NOT_AUTHORIZED
        assert device.subscribe("iotpipe/dev/dev:own/errors") == SUBSCRIBED
        for foreign_filter in ("#", "+/dev/dev:own/errors", "iotpipe/dev/+/errors", "iotpipe/dev/dev:other/errors"):
            assert device.subscribe(foreign_filter) == NOT_AUTHORIZED


@pytest.mark.parametrize("version", [V5, V311])
def test_a_device_that_is_not_fully_enrolled_cannot_connect(
    running: Machine, iot: Any, connect: Connect, enrolled: Any, version: int
) -> None:
    name = f"dev:half{version}"
    owner = mqtt_devices.identity(iot, running.directory, name, active=False)
    code = NOT_AUTHORIZED if version == V5 else 0

    def tried() -> int:
        return refused(connect(name, owner, version=version))

    assert tried() == 0  # inactive
    iot.update_certificate(certificateId=owner.certificate_id, newStatus="ACTIVE")
    assert tried() == code  # without a policy
    iot.attach_policy(policyName=POLICY, target=owner.arn)
    assert tried() == code  # without a thing
    iot.create_thing(thingName=name)
    iot.attach_thing_principal(thingName=name, principal=owner.arn)
    enrolled("dev:other")
    assert refused(connect("dev:other", owner, version=version)) == code
    for topic in ("iotpipe/dev/dev:other/readings", "elsewhere"):
        assert refused(connect(name, owner, version=version, will=(topic, "gone"))) == code
    with connect(name, owner, version=version, will=(f"iotpipe/dev/{name}/readings", "gone")) as device:
        assert device.connected
    iot.update_certificate(certificateId=owner.certificate_id, newStatus="REVOKED")
    assert tried() == 0


def test_nobody_connects_without_a_certificate_of_this_aws(running: Machine, connect: Connect, enrolled: Any) -> None:
    enrolled("dev:roof")
    assert refused(connect("dev:roof", None)) == 0
    assert refused(connect("dev:roof", foreign(running.directory))) == 0


def test_old_tls_is_refused(running: Machine, enrolled: Any) -> None:
    owner = enrolled("dev:roof")
    context = ssl.create_default_context(cafile=str(running.engine_directory.mqtt_ca))
    context.load_cert_chain(owner.certificate, owner.key)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with (
        closing(socket.create_connection(("127.0.0.1", running.record.mqtt_port))) as plain,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(plain, server_hostname="localhost")


def test_there_is_no_other_entrance_for_mqtt(running: Machine) -> None:
    """Neither by WebSocket, with or without a signature, nor by an HTTP request without one."""
    key = base64.b64encode(bytes(16)).decode()
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": key,
        "Sec-WebSocket-Protocol": "mqtt",
    }
    assert running.send("GET", "/mqtt", upgrade)[0] == 403
    assert running.signed("iotdevicegateway", "GET", "/mqtt", headers=upgrade)[0] == 403
    host = f"data-ats.iot.us-east-1.localhost:{running.record.port}"
    assert running.send("GET", "/mqtt", upgrade | {"Host": host})[0] == 403
    assert running.send("POST", "/topics/iotpipe/dev/dev:roof/errors", body=b"{}")[0] == 403
    assert running.send("GET", "/_ministack/iot/ca.pem")[0] == 403


def test_the_address_and_the_devices_survive_stop_and_kill(machine: Machine) -> None:
    said = machine.json("local", "start")
    assert said["mqtt"] == machine.json("local", "status")["mqtt"] == f"localhost:{machine.record.mqtt_port}"
    port, iot = machine.record.mqtt_port, machine.client("iot")
    assert port in mqtt.PORTS
    iot.create_policy(policyName=POLICY, policyDocument=wall())
    rule = {"sql": "SELECT * FROM 'iotpipe/dev/+/readings'", "actions": []}
    iot.create_topic_rule(ruleName="iotpipe_dev", topicRulePayload=rule)
    owner = mqtt_devices.attach(iot, "dev:roof", POLICY, mqtt_devices.identity(iot, machine.directory, "dev:roof"))
    data = machine.client("iot-data")
    data.publish(topic="kept", payload=b"message", retain=True)
    ca = machine.engine_directory.mqtt_ca.read_bytes()
    certificate = iot.describe_certificate(certificateId=owner.certificate_id)["certificateDescription"]
    machine.send("POST", "/_iotpipe/save", {"X-Iotpipe-Secret": machine.record.secret})

    def end_with_kill() -> None:
        machine.kill()

    def end_with_stop() -> None:
        machine.run("local", "stop")

    for end in (end_with_kill, end_with_stop):
        end()
        assert machine.record.mqtt_port == port
        machine.engine_directory.mqtt_ca.unlink()
        machine.run("local", "start")
        iot, data = machine.client("iot"), machine.client("iot-data")
        assert iot.describe_endpoint(endpointType="iot:Data-ATS")["endpointAddress"] == f"localhost:{port}"
        assert machine.engine_directory.mqtt_ca.read_bytes() == ca
        assert data.get_retained_message(topic="kept")["payload"] == b"message"
        described = iot.describe_certificate(certificateId=owner.certificate_id)["certificateDescription"]
        assert described == certificate
        assert iot.get_topic_rule(ruleName="iotpipe_dev")["rule"]["sql"] == rule["sql"]
        with mqtt_devices.connected(port, machine.engine_directory.mqtt_ca, "dev:roof", owner) as device:
            assert device.publish("iotpipe/dev/dev:roof/readings", "{}") == SUCCESS
    for path in machine.engine_directory.path.rglob("*"):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path
    machine.run("local", "reset", "--yes")
    assert not machine.engine_directory.path.exists()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port))


def test_a_taken_port_ends_the_start_only_if_devices_depend_on_it(machine: Machine) -> None:
    machine.run("local", "start")
    machine.run("local", "stop")
    port = machine.record.mqtt_port
    with closing(socket.create_server(("127.0.0.1", port))):
        said = machine.run("local", "start").stderr
    assert f"port {port} is taken by another program: devices connect to {machine.record.mqtt} now" in said
    assert machine.record.mqtt_port not in (0, port)
    port = machine.record.mqtt_port
    issued = machine.client("iot").create_keys_and_certificate()
    machine.run("local", "stop")
    with closing(socket.create_server(("127.0.0.1", port))):
        said = machine.run("local", "start", code=1).stderr
    assert f"port {port}, to which the devices connect by MQTT, cannot be used: Address already in use" in said
    assert "iotpipe local reset" in said
    assert not machine.engine_directory.alive()
    assert "did not stop properly" not in machine.run("local", "start").stderr
    assert machine.record.mqtt_port == port
    assert machine.client("iot").describe_certificate(certificateId=issued["certificateId"])


def test_an_engine_from_before_mqtt_gets_a_port(machine: Machine) -> None:
    machine.run("local", "start")
    machine.run("local", "stop")
    path = machine.engine_directory.path / "engine.json"
    record = json.loads(path.read_text())
    del record["mqtt_port"]
    path.write_text(json.dumps(record))
    assert "taken" not in machine.run("local", "start").stderr
    assert machine.record.mqtt_port in mqtt.PORTS


def test_without_a_free_port_the_error_says_which_were_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(mqtt, "PORTS", range(port, port + 1))
        monkeypatch.setattr(mqtt, "_ATTEMPTS", 1)
        with pytest.raises(
            IotpipeError, match=f"no port for MQTT is free: tried 1 of {port} to {port}: Address already in use"
        ):
            asyncio.run(mqtt.Listener().listen(0))
