"""What devices and strangers try on the whole pipeline, what they are answered, and that nothing of it is stored.

test_local_mqtt.py has what the broker alone refuses.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from iotpipe.names import Names
from tests.support.local_machine import Machine, eventually
from tests.support.mqtt_devices import (
    NOT_AUTHORIZED,
    SUBSCRIBED,
    SUCCESS,
    V5,
    V311,
    Fleet,
    Identity,
    Refused,
    connected,
    private,
)
from tests.support.mqtt_packets import packet, wire

pytestmark = pytest.mark.embedded

NAMES = Names("local")
ROOF, SHED = NAMES.thing("roof"), NAMES.thing("shed")
READINGS, ERRORS = NAMES.readings_topic(ROOF), NAMES.errors_topic(ROOF)
BASIC_INGEST = NAMES.basic_ingest_topic(ROOF)
ATTACK = json.dumps({"sensor_data": {"attack": 1}})


class Wall:
    """The pipeline with the enrolled devices roof, which attacks, and shed."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.port = machine.record.mqtt_port
        machine.run("device", "add", "roof", "shed")

    def folder(self, device: str) -> Path:
        return self.machine.directory / "devices" / device

    def identity(self, device: str) -> Identity:
        return Identity(self.folder(device) / "private.key", self.folder(device) / "certificate.pem")

    @property
    def ca(self) -> Path:
        return self.folder("roof") / "ca.pem"

    def connect(self, client_id: str, owner: Identity | None, **more: Any) -> Any:
        return connected(self.port, self.ca, client_id, owner, **more)

    def context(self, owner: Identity) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ca))
        context.load_cert_chain(owner.certificate, owner.key)
        return context

    def refused(self, client_id: str, owner: Identity | None) -> int:
        try:
            with self.connect(client_id, owner) as device:
                device.publish(NAMES.readings_topic(client_id), ATTACK)
                raise AssertionError("accepted")
        except Refused as refused:
            return refused.code

    def waiting(self, *queues: str) -> int:
        """The messages in queues, also those that a function works at."""
        sqs, number = self.machine.client("sqs"), 0
        for queue in queues:
            url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
            attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
            number += int(attributes["ApproximateNumberOfMessages"])
            number += int(attributes["ApproximateNumberOfMessagesNotVisible"])
        return number

    def stored(self) -> list[tuple[str, list[str]]]:
        """The device and the metrics of all rows of both tables, when everything that was published is done."""
        dynamodb = self.machine.client("dynamodb")
        eventually(lambda: not self.waiting(NAMES.device_queue))
        eventually(lambda: not self.waiting(NAMES.reading_queue))
        rows = [
            row for table in (NAMES.raw_table, NAMES.processed_table) for row in dynamodb.scan(TableName=table)["Items"]
        ]
        return sorted((row["device_id"]["S"], sorted(row["sensor_data"]["M"])) for row in rows)

    @contextmanager
    def nothing_stored(self) -> Iterator[None]:
        """Fail the test if a row appears in one of the tables."""
        before = self.stored()
        yield
        assert self.stored() == before

    def letters(self) -> list[dict[str, Any]]:
        """Take the dead letters."""
        return Fleet(self.machine).bodies(
            self.machine.client("sqs").get_queue_url(QueueName=NAMES.dead_letter_queue)["QueueUrl"]
        )


@pytest.fixture(scope="module")
def wall(up: Machine) -> Wall:
    return Wall(up)


REFUSED, INVALID, MALFORMED = "0x87", "0x90", "0x81"
"""Reason codes of MQTT 5: not authorized, topic name invalid, malformed packet."""

TOPICS: dict[str | bytes, str] = {
    READINGS.replace("roof", "shed"): f"puback {REFUSED}",
    BASIC_INGEST.replace("roof", "shed"): f"puback {REFUSED}",
    # Thing names that a pattern or a careless comparison would take for roof's.
    READINGS.replace("roof", "ROOF"): f"puback {REFUSED}",
    READINGS.replace("roof", "roo*"): f"puback {REFUSED}",
    READINGS.replace("roof", "${iot:Connection.Thing.ThingName}"): f"puback {REFUSED}",
    READINGS.replace("roof", "r\u043e\u043ef"): f"puback {REFUSED}",  # Cyrillic
    READINGS.replace("roof", "roof\u200b"): f"puback {REFUSED}",
    READINGS.replace("roof", "roof\0"): f"puback {REFUSED}",
    NAMES.readings_topic(NAMES.thing("")): f"puback {REFUSED}",  # whose messages are those of the self-test of `up`
    NAMES.basic_ingest_topic(NAMES.thing("")): f"puback {REFUSED}",
    # More or less than its topic.
    f"{READINGS}\n": f"puback {REFUSED}",
    f"{BASIC_INGEST}\n": f"puback {REFUSED}",
    f"{READINGS}/": f"puback {REFUSED}",
    f"/{READINGS}": f"puback {REFUSED}",
    f"\ufeff{READINGS}": f"puback {REFUSED}",
    READINGS.replace("/", "\uff0f"): f"puback {REFUSED}",
    f"iotpipe/local/{ROOF}/../{SHED}/readings": f"puback {REFUSED}",
    f"{BASIC_INGEST}/../../{SHED}/readings": f"puback {REFUSED}",
    "$aws/rules/iotpipe_local": f"puback {REFUSED}",
    f"$aws/rules/iotpipe_other/{READINGS}": f"puback {REFUSED}",
    f"$aws/rules/iotpipe_local/{BASIC_INGEST}": f"puback {REFUSED}",
    # Other topics of AWS IoT.
    ERRORS: f"puback {REFUSED}",
    NAMES.errors_topic(SHED): f"puback {REFUSED}",
    f"$aws/things/{ROOF}/shadow/update": f"puback {REFUSED}",
    "$aws/certificates/create/json": f"puback {REFUSED}",
    f"$aws/events/presence/connected/{ROOF}": f"puback {INVALID}",
    f"$share/group/{READINGS}": f"puback {INVALID}",
    # What is no topic.
    "iotpipe/local/+/readings": f"disconnect {INVALID}",
    "iotpipe/local/#": f"disconnect {INVALID}",
    "#": f"disconnect {INVALID}",
    "": f"disconnect {INVALID}",
    READINGS.encode().replace(b"roof", b"roof\xff"): f"disconnect {MALFORMED}",
    READINGS.encode().replace(b"roof", b"\xc1\xb2oof"): f"disconnect {MALFORMED}",  # an overlong r
    READINGS.encode().replace(b"roof", b"roof\xed\xa0\x80"): f"disconnect {MALFORMED}",  # a surrogate
}


def test_a_device_publishes_to_no_topic_but_its_own(wall: Wall) -> None:
    context, answers = wall.context(wall.identity("roof")), {}
    with wall.nothing_stored():
        for topic in TOPICS:
            with wire(wall.port, context) as roof:
                assert roof.connect(ROOF, username=SHED) == "connack 0x00"
                answers[topic] = roof.publish(topic, ATTACK.encode())
    assert answers == TOPICS
    assert wall.letters() == []


FILTERS: dict[str | bytes, str] = {
    ERRORS: "suback 0x01",
    **dict.fromkeys(("#", "+/#", "$aws/events/#", f"$aws/things/{SHED}/#"), f"suback {REFUSED}"),
    **dict.fromkeys((f"iotpipe/local/{ROOF}/#", f"iotpipe/local/{ROOF}/+", READINGS), f"suback {REFUSED}"),
    **dict.fromkeys((NAMES.errors_topic(SHED), NAMES.errors_topic("+"), NAMES.errors_topic("*")), f"suback {REFUSED}"),
    **dict.fromkeys((f"$share/group/{NAMES.errors_topic(SHED)}", "$share/group/#", f"{ERRORS}\n"), f"suback {REFUSED}"),
    **dict.fromkeys(("$aws/#", "$aws/rules/#"), "suback 0x8f"),
    b"\xff": f"disconnect {MALFORMED}",
}


def test_a_device_listens_to_nothing_but_its_own_errors(wall: Wall) -> None:
    with wire(wall.port, wall.context(wall.identity("roof"))) as roof:
        assert roof.connect(ROOF) == "connack 0x00"
        assert {topic: roof.subscribe(topic) for topic in FILTERS} == FILTERS


CLIENT_IDS: dict[str | bytes, str] = {
    **dict.fromkeys((SHED, "", "roof", "dev:roof", NAMES.thing(""), NAMES.thing("*")), f"connack {REFUSED}"),
    **dict.fromkeys((f"{ROOF}\n", f"{ROOF}\0", f"{ROOF} ", ROOF.upper()), f"connack {REFUSED}"),
    "${iot:Connection.Thing.ThingName}": f"connack {REFUSED}",
    b"\xff": f"connack {MALFORMED}",
}


def test_a_device_connects_under_no_name_but_its_own(wall: Wall) -> None:
    context, answers = wall.context(wall.identity("roof")), {}
    with wall.connect(SHED, wall.identity("shed")) as shed:
        for client_id in CLIENT_IDS:
            with wire(wall.port, context) as roof:
                answers[client_id] = roof.connect(client_id)
        assert shed.subscribe(NAMES.errors_topic(SHED)) == SUBSCRIBED  # nobody has taken its place
    assert answers == CLIENT_IDS


def issued(wall: Wall, issuer: x509.Name, signer: Any, chain: bytes = b"") -> Identity:
    """Make a certificate with roof's name; without a signer it signs itself."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject(wall))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(signer or key, hashes.SHA256())
    )
    files = Identity(wall.machine.directory / "made.key", wall.machine.directory / "made.pem")
    files.key.write_bytes(private(key))
    files.certificate.write_bytes(certificate.public_bytes(Encoding.PEM) + chain)
    return files


def subject(wall: Wall) -> x509.Name:
    return x509.load_pem_x509_certificate(wall.identity("roof").certificate.read_bytes()).subject


def test_no_certificate_but_the_issued_one_lets_anybody_in(wall: Wall) -> None:
    roof = wall.identity("roof")
    authority = x509.load_pem_x509_certificate(wall.ca.read_bytes()).subject
    own_key: Any = load_pem_private_key(roof.key.read_bytes(), None)
    with wall.nothing_stored():
        assert wall.refused(ROOF, None) == 0
        assert wall.refused(ROOF, issued(wall, subject(wall), None)) == 0
        assert wall.refused(ROOF, issued(wall, authority, ec.generate_private_key(ec.SECP256R1()))) == 0
        assert wall.refused(ROOF, issued(wall, subject(wall), own_key, roof.certificate.read_bytes())) == 0
        assert wall.refused(ROOF, wall.identity("shed")) == NOT_AUTHORIZED
        with pytest.raises(ssl.SSLError):  # the certificate alone, which is no secret
            wall.refused(ROOF, Identity(wall.identity("shed").key, roof.certificate))


def test_other_protocols_than_mqtt_get_nothing_for_the_certificate(wall: Wall) -> None:
    upgrade = (
        b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    post = f"POST /topics/{READINGS}?qos=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{{}}"
    unknown_version = packet(0x10, b"\0\4MQTT\7\2\0\x3c\0\0\1a")
    sent = {upgrade: "closed", post.encode(): "closed", unknown_version: "connack 0x01"}
    with wall.nothing_stored():
        for each, answer in sent.items():
            with wire(wall.port, wall.context(wall.identity("roof"))) as roof:
                assert roof.ask(each) == answer


def test_a_body_that_names_another_device_is_refused_and_only_its_sender_is_told(wall: Wall) -> None:
    other = {"device_id": "shed", "sensor_data": {"attack": 1}}
    own = {"sensor_data": {"own": 1}, "timestamp": int(time.time() * 1000)}
    doubled = '{"device_id": "roof", "device_id": "shed", "sensor_data": {"attack": 1}}'
    bodies = [
        json.dumps(other),
        json.dumps([own, other]),
        json.dumps({"readings": [other]}),
        json.dumps({"device_id": "shed", "readings": [{"sensor_data": {"attack": 1}}]}),
        json.dumps(other | {"device_id": SHED}),
        json.dumps(other | {"device_id": ["roof"]}),
        json.dumps(other | {"device_id": "roof "}),
        doubled,
    ]
    will, before = (READINGS, json.dumps(other)), wall.stored()
    with wall.connect(SHED, wall.identity("shed")) as shed, wall.connect(ROOF, wall.identity("roof")) as roof:
        assert roof.subscribe(ERRORS) == shed.subscribe(NAMES.errors_topic(SHED)) == SUBSCRIBED
        assert [roof.publish(READINGS, body) for body in bodies] == [SUCCESS] * len(bodies)
        roof.until(lambda: roof.received)
        assert wall.stored() == sorted([*before, *[("roof", ["own"])] * 2])
        with wall.connect(ROOF, wall.identity("roof"), will=will) as dying:
            socket = dying.client.socket()
            assert socket
            socket.close()
        assert wall.stored() == sorted([*before, *[("roof", ["own"])] * 2])
        assert shed.publish(NAMES.readings_topic(SHED), "{}") == SUCCESS
        notice = json.loads(shed.message().payload)
        assert notice["problems"][0]["code"] == "required"
    letters = wall.letters()
    while more := wall.letters():
        letters += more
    assert sorted(letter["thing"] for letter in letters) == [ROOF] * (len(bodies) + 1) + [SHED]


def test_the_certificate_of_another_environment_stores_nothing_here(wall: Wall) -> None:
    """Even if somebody attaches the policy of this environment to it."""
    fleet, iot = Fleet(wall.machine), wall.machine.client("iot")
    owner = fleet.certificate("other:roof")
    iot.create_thing(thingName="other:roof")
    iot.attach_policy(policyName=NAMES.device_policy, target=owner.arn)
    iot.attach_thing_principal(thingName="other:roof", principal=owner.arn)
    with wall.nothing_stored():
        assert wall.refused(ROOF, owner) == NOT_AUTHORIZED
        with wall.connect("other:roof", owner) as device:
            assert device.publish(READINGS, ATTACK) == NOT_AUTHORIZED
            assert device.publish("iotpipe/other/other:roof/readings", ATTACK) == NOT_AUTHORIZED
            assert device.publish(NAMES.basic_ingest_topic("other:roof"), ATTACK) == SUCCESS
    [letter] = wall.letters()
    assert (letter["thing"], letter["problems"][0]["code"]) == ("other:roof", "identity")


@pytest.mark.parametrize("version", [V5, V311])
def test_a_revoked_device_is_disconnected_and_never_comes_back(wall: Wall, version: int) -> None:
    name = f"garage{version}"
    wall.machine.run("device", "add", name)
    owner, thing = wall.identity(name), NAMES.thing(name)
    with wall.nothing_stored():
        with wall.connect(thing, owner, version=version) as device:
            wall.machine.run("device", "revoke", name)
            assert device.closed() == (NOT_AUTHORIZED if version == V5 else 0)
        assert wall.refused(thing, owner) == 0


def test_what_is_not_allowed_ends_a_connection_of_mqtt_311(wall: Wall) -> None:
    roof = wall.identity("roof")
    with wall.nothing_stored():
        for topic in (READINGS.replace("roof", "shed"), BASIC_INGEST.replace("roof", "shed"), ERRORS):
            with wall.connect(ROOF, roof, version=V311) as device:
                assert device.publish(topic, ATTACK) is None
        for retained in (READINGS, BASIC_INGEST):
            with wall.connect(ROOF, roof, version=V311) as device:
                assert device.publish(retained, ATTACK, retain=True) is None
        with wall.connect(ROOF, roof) as device:
            assert device.publish(BASIC_INGEST, ATTACK, retain=True) == NOT_AUTHORIZED
