"""MQTT packets byte by byte, for what no MQTT library sends."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager

_CONNECT, _PUBLISH, _SUBSCRIBE = 0x10, 0x32, 0x82
_CONNACK, _PUBACK, _SUBACK, _DISCONNECT = 0x20, 0x40, 0x90, 0xE0
"""The first bytes of packets, with QoS 1 for what is published."""


def packet(first: int, *fields: bytes) -> bytes:
    """Return an MQTT packet of less than 16,384 bytes; `first` has its kind and flags."""
    body = b"".join(fields)
    length = bytes([len(body)]) if len(body) < 128 else bytes([len(body) & 127 | 128, len(body) >> 7])
    return bytes([first]) + length + body


def text(value: str | bytes) -> bytes:
    encoded = value.encode() if isinstance(value, str) else value
    return struct.pack("!H", len(encoded)) + encoded


class Wire:
    """A TLS connection that carries packets of MQTT 5."""

    def __init__(self, stream: ssl.SSLSocket) -> None:
        self._stream = stream

    def connect(self, client_id: str | bytes, *, username: str = "") -> str:
        flags = b"\x82" if username else b"\2"
        fields = [text("MQTT"), b"\5", flags, b"\0\x3c\0", text(client_id)]
        return self.ask(packet(_CONNECT, *fields, text(username) if username else b""))

    def publish(self, topic: str | bytes, payload: bytes = b"{}", properties: bytes = b"\0") -> str:
        return self.ask(packet(_PUBLISH, text(topic), b"\0\1", properties, payload))

    def subscribe(self, topic_filter: str | bytes) -> str:
        return self.ask(packet(_SUBSCRIBE, b"\0\1\0", text(topic_filter), b"\1"))

    def send(self, sent: bytes) -> None:
        self._stream.sendall(sent)

    def ask(self, sent: bytes) -> str:
        """Send a packet and return the kind and the reason code of what is answered; "closed" if nothing is."""
        try:
            self.send(sent)
            return self._answer()
        except OSError:
            return "closed"

    def _answer(self) -> str:
        head = self._stream.recv(2)
        if len(head) < 2:
            return "closed"
        body = b""
        while len(body) < head[1]:
            body += self._stream.recv(head[1] - len(body))
        if head[0] == _CONNACK:
            return f"connack {body[1]:#04x}"
        if head[0] == _PUBACK:
            return f"puback {body[2] if len(body) > 2 else 0:#04x}"
        if head[0] == _SUBACK:
            return f"suback {body[-1]:#04x}"
        return f"disconnect {body[0]:#04x}" if head[0] == _DISCONNECT else f"packet {head[0]:#04x}"


@contextmanager
def wire(port: int, context: ssl.SSLContext) -> Iterator[Wire]:
    """Connect to the embedded AWS."""
    with (
        closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as stream,
    ):
        yield Wire(stream)
