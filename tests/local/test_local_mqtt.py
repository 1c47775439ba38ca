"""MQTT in the embedded AWS: who is let in, what devices may do, and what survives a restart."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import ssl
import stat
import warnings
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from iotpipe.errors import IotpipeError
from iotpipe.local import mqtt
from tests.support import mqtt_devices
from tests.support.local_machine import Machine
from tests.support.mqtt_devices import NOT_AUTHORIZED, POLICY, SUBSCRIBED, SUCCESS, V5, V311, Fleet, Identity

pytestmark = pytest.mark.embedded


def foreign(directory: Path) -> Identity:
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


def test_a_device_acts_under_its_own_name_only(fleet: Fleet) -> None:
    fleet.enrolled("dev:neighbour")
    with fleet.connect("dev:own", fleet.enrolled("dev:own")) as device:
        assert device.publish("iotpipe/dev/dev:own/readings", "{}") == SUCCESS
        assert device.publish("$aws/rules/iotpipe_dev/iotpipe/dev/dev:own/readings", "{}") == SUCCESS
        assert device.publish("iotpipe/dev/dev:neighbour/readings", "{}") == NOT_AUTHORIZED
        assert device.publish("$aws/rules/iotpipe_dev/iotpipe/dev/dev:neighbour/readings", "{}") == NOT_AUTHORIZED
        assert device.publish("iotpipe/dev/dev:own/errors", "{}") == NOT_AUTHORIZED
        assert device.publish("iotpipe/dev/dev:own/readings", "{}", retain=True) == NOT_AUTHORIZED
        assert device.subscribe("iotpipe/dev/dev:own/errors") == SUBSCRIBED
        for others in ("#", "+/dev/dev:own/errors", "iotpipe/dev/+/errors", "iotpipe/dev/dev:neighbour/errors"):
            assert device.subscribe(others) == NOT_AUTHORIZED


def test_what_is_published_over_http_reaches_the_one_device_that_it_is_for(fleet: Fleet) -> None:
    with (
        fleet.connect("dev:told", fleet.enrolled("dev:told")) as told,
        fleet.connect("dev:untold", fleet.enrolled("dev:untold")) as untold,
    ):
        for device, name in ((told, "told"), (untold, "untold")):
            assert device.subscribe(f"iotpipe/dev/dev:{name}/errors") == SUBSCRIBED
        fleet.data.publish(topic="iotpipe/dev/dev:told/errors", payload=b"first", qos=1)
        fleet.data.publish(topic="iotpipe/dev/dev:untold/errors", payload=b"second", qos=1)
        assert [device.message().payload for device in (told, untold)] == [b"first", b"second"]


@pytest.mark.parametrize("version", [V5, V311])
def test_a_device_that_is_not_fully_enrolled_cannot_connect(fleet: Fleet, version: int) -> None:
    name, iot = f"dev:half{version}", fleet.iot
    owner = fleet.certificate(name, active=False)
    code = NOT_AUTHORIZED if version == V5 else 0
    assert fleet.refused(name, owner, version=version) == 0  # inactive
    iot.update_certificate(certificateId=owner.certificate_id, newStatus="ACTIVE")
    assert fleet.refused(name, owner, version=version) == code  # without a policy
    iot.attach_policy(policyName=POLICY, target=owner.arn)
    assert fleet.refused(name, owner, version=version) == code  # without a thing
    iot.create_thing(thingName=name)
    iot.attach_thing_principal(thingName=name, principal=owner.arn)
    fleet.enrolled(f"dev:other{version}")
    assert fleet.refused(f"dev:other{version}", owner, version=version) == code
    for topic in (f"iotpipe/dev/dev:other{version}/readings", "elsewhere"):
        assert fleet.refused(name, owner, version=version, will=(topic, "gone")) == code
    with fleet.connect(name, owner, version=version, will=(f"iotpipe/dev/{name}/readings", "gone")) as device:
        assert device.connected
    iot.update_certificate(certificateId=owner.certificate_id, newStatus="REVOKED")
    assert fleet.refused(name, owner, version=version) == 0


def test_nobody_connects_without_a_certificate_of_this_aws(fleet: Fleet) -> None:
    fleet.enrolled("dev:roof")
    assert fleet.refused("dev:roof", None) == 0
    assert fleet.refused("dev:roof", foreign(fleet.machine.directory)) == 0


@pytest.mark.parametrize(("version", "accepted"), [("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)])
def test_old_tls_is_refused(fleet: Fleet, version: str, accepted: bool) -> None:
    context = fleet.context(fleet.enrolled(f"dev:{version}"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    context.set_ciphers("ALL:@SECLEVEL=0")
    with closing(socket.create_connection(("127.0.0.1", fleet.port))) as plain:
        if accepted:
            context.wrap_socket(plain, server_hostname="localhost").close()
        else:
            with pytest.raises(OSError, match=r"PROTOCOL_VERSION|EOF|reset"):
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
    fleet, port = Fleet(machine), machine.record.mqtt_port
    assert fleet.port == port
    assert port in mqtt.PORTS
    rule = {"sql": "SELECT * FROM 'iotpipe/dev/+/readings'", "actions": []}
    fleet.iot.create_topic_rule(ruleName="iotpipe_dev", topicRulePayload=rule)
    owner = fleet.enrolled("dev:roof")
    fleet.data.publish(topic="kept", payload=b"message", retain=True)
    ca = machine.engine_directory.mqtt_ca.read_bytes()
    certificate = fleet.iot.describe_certificate(certificateId=owner.certificate_id)["certificateDescription"]
    machine.send("POST", "/_iotpipe/save", {"X-Iotpipe-Secret": machine.record.secret})

    for end in (machine.kill, lambda: machine.run("local", "stop")):
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
        with fleet.connect("dev:roof", owner) as device:
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
