"""Devices that connect to the embedded AWS by MQTT, as a real one would: with a key, a certificate and paho."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import NameOID
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

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


def identity(iot: Any, directory: Path, name: str, active: bool = True) -> Identity:
    """Have AWS IoT issue a certificate; the files are named after `name`."""
    key = ec.generate_private_key(ec.SECP256R1())
    issued = iot.create_certificate_from_csr(certificateSigningRequest=request(key, name), setAsActive=active)
    files = Identity(directory / f"{name}.key", directory / f"{name}.crt", issued["certificateArn"])
    files.key.write_bytes(private(key))
    files.certificate.write_text(issued["certificatePem"])
    return files


def attach(iot: Any, thing: str, policy: str, owner: Identity) -> Identity:
    """Create the thing and attach certificate and policy to it."""
    iot.create_thing(thingName=thing)
    iot.attach_policy(policyName=policy, target=owner.arn)
    iot.attach_thing_principal(thingName=thing, principal=owner.arn)
    return owner


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
