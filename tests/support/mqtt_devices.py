"""Devices that connect to the embedded AWS by MQTT, as a real one would: with a key, a certificate and paho."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import NameOID
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.support.local_machine import Machine

V311, V5 = MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5


@dataclass(frozen=True)
class Identity:
    """A client's private key and certificate, in files, and the certificate's ARN."""

    key: Path
    certificate: Path
    arn: str = ""

    @property
    def certificate_id(self) -> str:
        return self.arn.rpartition("/")[2]


def request(key: CertificateIssuerPrivateKeyTypes, name: str) -> str:
    """Return a certificate signing request for a common name."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signed = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def private(key: CertificateIssuerPrivateKeyTypes) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@dataclass
class Device:
    """One MQTT connection. Reason codes are those of MQTT 5; an MQTT 3.1.1 device is disconnected instead."""

    client: Client
    received: list[MQTTMessage] = field(default_factory=list)
    reasons: dict[str, list[int]] = field(default_factory=dict)
    connected: bool = False

    def publish(self, topic: str, payload: bytes | str, qos: int = 1, retain: bool = False) -> int | None:
        """Publish and return the reason code of the acknowledgement; None if the connection was closed."""
        return self._answered("publish", lambda: self.client.publish(topic, payload, qos=qos, retain=retain))

    def subscribe(self, topic_filter: str, qos: int = 1) -> int | None:
        """Subscribe and return the reason code; None if the connection was closed."""
        return self._answered("subscribe", lambda: self.client.subscribe(topic_filter, qos=qos))

    def message(self) -> MQTTMessage:
        """Wait for the next message."""
        self.until(lambda: self.received)
        return self.received.pop(0)

    def closed(self) -> int:
        """Wait for the end of the connection and return the reason code that the server gave; 0 without one."""
        self.until(lambda: not self.connected)
        return self.reasons["disconnect"][-1]

    def until(self, condition: Callable[[], object], seconds: float = 10) -> None:
        """Serve the connection until the condition holds; fails the test after `seconds`."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it never came"
            self.client.loop(0.02)

    def _answered(self, kind: str, act: Callable[[], object]) -> int | None:
        answers = self.reasons.setdefault(kind, [])
        answers.clear()
        act()
        self.until(lambda: answers or not self.connected)
        return answers[0] if answers else None


class Refused(Exception):
    """The server accepted no connection; the reason code is 0 if it closed the connection without one."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@contextmanager
def connected(
    port: int,
    ca: Path,
    client_id: str,
    owner: Identity | None,
    *,
    version: MQTTProtocolVersion = V5,
    will: tuple[str, str] | None = None,
    clean: bool = True,
) -> Iterator[Device]:
    """Connect a device. Raises Refused, also where the TLS handshake fails."""
    clean_session = {} if version == V5 else {"clean_session": clean}
    client = Client(
        CallbackAPIVersion.VERSION2, client_id, protocol=version, reconnect_on_failure=False, **clean_session
    )
    context = ssl.create_default_context(cafile=str(ca))
    if owner:
        context.load_cert_chain(owner.certificate, owner.key)
    client.tls_set_context(context)
    if will:
        client.will_set(*will, qos=1)
    device = Device(client)
    _observe(client, device)
    try:
        # With TLS 1.3 a client learns only when it reads that its certificate was refused.
        with _refusals():
            client.connect("localhost", port, keepalive=60)
        device.until(lambda: device.reasons)
        if not device.connected:
            raise Refused(max(code for codes in device.reasons.values() for code in codes))
        yield device
    finally:
        client.disconnect()
        client.loop(0.02)


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Refused(0) from error


def _observe(client: Client, device: Device) -> None:
    def note(kind: str, code: Any) -> None:
        device.reasons.setdefault(kind, []).append(code.value)

    def on_connect(client: Client, data: Any, flags: Any, code: Any, properties: Any) -> None:
        device.connected = not code.is_failure
        note("connect", code)

    def on_disconnect(client: Client, data: Any, flags: Any, code: Any, properties: Any) -> None:
        device.connected = False
        # paho makes up a code where the server has closed the connection without one.
        device.reasons.setdefault("disconnect", []).append(code.value if flags.is_disconnect_packet_from_server else 0)

    client.on_connect = on_connect
    client.on_disconnect = on_disconnect
    client.on_publish = lambda client, data, packet, code, properties: note("publish", code)
    client.on_subscribe = lambda client, data, packet, codes, properties: note("subscribe", codes[0])
    client.on_message = lambda client, data, message: device.received.append(message)


POLICY = "device"
SUCCESS, SUBSCRIBED, NOT_AUTHORIZED = 0, 1, 0x87
"""Reason codes of MQTT 5."""


def wall() -> str:
    """Return the policy of every device: it may act under its own name only."""
    region = "arn:aws:iot:us-east-1:000000000000"
    own = "${iot:Connection.Thing.ThingName}"
    attached = {"Bool": {"iot:Connection.Thing.IsAttached": "true"}}
    topics = [f"{region}:topic/{prefix}iotpipe/dev/{own}/readings" for prefix in ("", "$aws/rules/iotpipe_dev/")]
    statements = [
        {"Action": "iot:Connect", "Resource": f"{region}:client/{own}", "Condition": attached},
        {"Action": "iot:Publish", "Resource": topics},
        {"Action": "iot:Subscribe", "Resource": f"{region}:topicfilter/iotpipe/dev/{own}/errors"},
        {"Action": "iot:Receive", "Resource": f"{region}:topic/iotpipe/dev/{own}/errors"},
    ]
    allowed = [{"Effect": "Allow"} | statement for statement in statements]
    return json.dumps({"Version": "2012-10-17", "Statement": allowed})


@dataclass
class Fleet:
    """The devices of a machine's embedded AWS, with the policy `wall`."""

    machine: Machine

    @cached_property
    def iot(self) -> Any:
        iot = self.machine.client("iot")
        iot.create_policy(policyName=POLICY, policyDocument=wall())
        return iot

    @cached_property
    def data(self) -> Any:
        return self.machine.client("iot-data")

    @cached_property
    def port(self) -> int:
        """The port that DescribeEndpoint answers."""
        host, _, port = self.iot.describe_endpoint(endpointType="iot:Data-ATS")["endpointAddress"].partition(":")
        assert host == "localhost"
        return int(port)

    def certificate(self, name: str, active: bool = True) -> Identity:
        """Have AWS IoT issue a certificate; the files are named after `name`."""
        key = ec.generate_private_key(ec.SECP256R1())
        signed = self.iot.create_certificate_from_csr(certificateSigningRequest=request(key, name), setAsActive=active)
        directory = self.machine.directory
        files = Identity(directory / f"{name}.key", directory / f"{name}.crt", signed["certificateArn"])
        files.key.write_bytes(private(key))
        files.certificate.write_text(signed["certificatePem"])
        return files

    def enrolled(self, thing: str) -> Identity:
        """Enrol a device as iotpipe does."""
        owner = self.certificate(thing)
        self.iot.create_thing(thingName=thing)
        self.iot.attach_policy(policyName=POLICY, target=owner.arn)
        self.iot.attach_thing_principal(thingName=thing, principal=owner.arn, thingPrincipalType="EXCLUSIVE_THING")
        return owner

    def free(self, name: str) -> Identity:
        """Return a certificate that may do everything, under every client id."""
        statement = {"Effect": "Allow", "Action": "iot:*", "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        with suppress(self.iot.exceptions.ResourceAlreadyExistsException):
            self.iot.create_policy(policyName="everything", policyDocument=document)
        owner = self.certificate(name)
        self.iot.attach_policy(policyName="everything", target=owner.arn)
        return owner

    def connect(self, client_id: str, owner: Identity | None, **more: Any) -> AbstractContextManager[Device]:
        return connected(self.port, self.machine.engine_directory.mqtt_ca, client_id, owner, **more)

    def refused(self, client_id: str, owner: Identity | None, **more: Any) -> int:
        """Return the reason code with which a connection is refused; fails the test if it is accepted."""
        try:
            with self.connect(client_id, owner, **more):
                raise AssertionError("accepted")
        except Refused as refused:
            return refused.code

    def context(self, owner: Identity) -> ssl.SSLContext:
        """Return what a client without an MQTT library needs to connect."""
        context = ssl.create_default_context(cafile=str(self.machine.engine_directory.mqtt_ca))
        context.load_cert_chain(owner.certificate, owner.key)
        return context

    def queue_of_readings(self, sql: str = "SELECT *") -> str:
        """Return the URL of a queue; a topic rule puts into it what devices publish on their own topics."""
        url = str(self.machine.client("sqs").create_queue(QueueName="readings")["QueueUrl"])
        payload = {
            "sql": f"{sql} FROM 'iotpipe/dev/+/readings'",
            "awsIotSqlVersion": "2016-03-23",
            "actions": [{"sqs": {"queueUrl": url, "roleArn": self._sender, "useBase64": False}}],
        }
        with suppress(self.iot.exceptions.ResourceAlreadyExistsException):
            self.iot.create_topic_rule(ruleName="iotpipe_dev", topicRulePayload=payload)
        return url

    @cached_property
    def _sender(self) -> str:
        return self.role("rule", "readings")

    def role(self, name: str, *queues: str, principal: str = "iot.amazonaws.com") -> str:
        """Create a role that may send to these queues, and return its ARN."""
        iam = self.machine.client("iam")
        trust = {"Effect": "Allow", "Principal": {"Service": principal}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]
        arns = [f"arn:aws:sqs:us-east-1:000000000000:{queue}" for queue in queues]
        statement = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": arns}
        if queues:
            document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            iam.put_role_policy(RoleName=name, PolicyName="send", PolicyDocument=document)
        return str(role["Arn"])

    def bodies(self, url: str) -> list[Any]:
        """Take what is in a queue."""
        sqs = self.machine.client("sqs")
        taken = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        for message in taken:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"]) for message in taken]
