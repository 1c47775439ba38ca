"""An MQTT connection of one device: it publishes with acknowledgement, and hears what was refused."""

from __future__ import annotations

import queue
import ssl
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from paho.mqtt.client import MQTT_ERR_SUCCESS, Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from iotpipe.errors import IotpipeError

QOS = 1
"""At least once: the publisher is told that AWS IoT has the message."""
_KEEP_ALIVE = 30
"""Seconds without traffic after which a dead connection is noticed."""
_IN_FLIGHT = 50
"""Messages that may wait for their acknowledgement; AWS IoT takes at most 100 of a connection."""
_LONGEST_PAUSE = 8
"""Seconds between two attempts to connect again."""


@dataclass(frozen=True)
class Identity:
    """What a device connects with: its MQTT client id, and the files of its certificate and private key."""

    thing: str
    certificate: Path
    key: Path


@dataclass(frozen=True)
class Acknowledged:
    """AWS IoT has taken a message; or it has refused it, for the `reason`."""

    message: int
    reason: str = ""


@dataclass(frozen=True)
class Notice:
    """A message on a topic that the device has subscribed to."""

    topic: str
    payload: bytes


@dataclass(frozen=True)
class Closed:
    """The connection has ended, or could not begin. It begins again by itself until it is left."""

    reason: str


Event = Acknowledged | Notice | Closed


class Connection:
    """Connects in the background, and again whenever the connection is lost; what is not acknowledged is sent again.

    Everything that happens comes out of `events`, from the thread of the MQTT client.
    """

    def __init__(self, host: str, port: int, ca_file: Path, identity: Identity) -> None:
        self.thing = identity.thing
        self.events: queue.Queue[Event] = queue.Queue()
        self._address = host, port
        self._topics: list[str] = []
        # MQTT 5: a refused message is answered with the reason. By MQTT 3.1.1 AWS IoT only closes the connection.
        self._client = Client(
            CallbackAPIVersion.VERSION2, identity.thing, protocol=MQTTProtocolVersion.MQTTv5, reconnect_on_failure=True
        )
        self._client.tls_set_context(_tls(ca_file, identity))
        self._client.reconnect_delay_set(1, _LONGEST_PAUSE)
        self._client.max_inflight_messages_set(_IN_FLIGHT)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = lambda client, data: self.events.put(Closed("no connection"))
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.on_message = self._on_message

    def subscribe(self, topic: str) -> None:
        """Receive what is published to the topic, from now on and after each new connection."""
        self._topics.append(topic)
        if self._client.is_connected():
            self._client.subscribe(topic, qos=QOS)

    def publish(self, topic: str, payload: bytes) -> int:
        """Hand a message over, and return its number; an Acknowledged of this number follows."""
        return self._client.publish(topic, payload, qos=QOS).mid

    def __enter__(self) -> Connection:
        self._client.connect_async(*self._address, keepalive=_KEEP_ALIVE)
        if self._client.loop_start() != MQTT_ERR_SUCCESS:
            raise IotpipeError(f"the MQTT client of {self.thing} cannot start")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    # The client passes reason codes as objects; its own annotations call everything of MQTT 5 optional.

    def _on_connect(self, client: Client, data: Any, flags: Any, code: Any, properties: Any) -> None:
        if code.is_failure:
            self.events.put(Closed(str(code)))
            return
        for topic in self._topics:
            client.subscribe(topic, qos=QOS)

    def _on_disconnect(self, client: Client, data: Any, flags: Any, code: Any, properties: Any) -> None:
        self.events.put(Closed(str(code)))

    def _on_publish(self, client: Client, data: Any, message: int, code: Any, properties: Any) -> None:
        self.events.put(Acknowledged(message, str(code) if code.is_failure else ""))

    def _on_message(self, client: Client, data: Any, message: MQTTMessage) -> None:
        self.events.put(Notice(message.topic, bytes(message.payload)))


def _tls(ca_file: Path, identity: Identity) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca_file))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(identity.certificate, identity.key)
    return context
