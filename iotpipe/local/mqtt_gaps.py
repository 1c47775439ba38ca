"""Patches for ministack 1.5.33's gaps in what MQTT clients may send: one function per gap, with its reason."""

from __future__ import annotations

import asyncio
import re
import struct
import sys
from contextlib import suppress
from functools import lru_cache
from typing import Any

MAX_PAYLOAD, MAX_SLASHES, MAX_CLIENT_ID, MAX_TOPIC = 128 * 1024, 7, 128, 256
"""AWS IoT's limits; all but the slashes in bytes.

https://docs.aws.amazon.com/general/latest/gr/iot-core.html#message-broker-limits
"""

_TOPIC_LIMITS = f"{MAX_TOPIC} bytes or {MAX_SLASHES} slashes"
_PROTOCOL_ERROR, _INVALID_CLIENT_ID, _PACKET_TOO_LARGE, _NO_SUCH_QOS = 0x82, 0x85, 0x95, 0x9B
_INVALID_CLIENT_ID_311 = 0x02


def close() -> None:
    """Apply every patch."""
    _refuse_what_aws_refuses()
    _count_slashes()
    _limit_publishing_over_http()
    _allow_active_certificates_only()
    _match_policies_to_the_last_character()
    _take_turns()


def _is_within_limits(topic: str) -> bool:
    """Whether a topic or filter is as short and flat as AWS requires; the prefix of Basic Ingest does not count."""
    parts = topic.split("/", 3)
    counted = parts[3] if topic.startswith("$aws/rules/") and len(parts) > 3 else topic
    return counted.count("/") <= MAX_SLASHES and len(counted.encode()) <= MAX_TOPIC


def _refuse_what_aws_refuses() -> None:
    """End a connection for a client error that ministack accepts, such as a payload that is too large."""
    from ministack.services import iot

    handle = iot._WSSession.handle_packet

    async def handle_packet(session: Any, kind: int, flags: int, body: bytes) -> bool:
        if session._cleaned_up:  # it was ended, but what its client has sent is still read
            return False
        if code := _client_error(session, kind, flags, body):
            await _answer_client_error(session, kind, code)
            return False
        # ministack also accepts a CONNECT that ends before its client id.
        return await handle(session, kind, flags, body) and bool(session._client_id)

    iot._WSSession.handle_packet = handle_packet


def _client_error(session: Any, kind: int, flags: int, body: bytes) -> int:
    """Return the reason code of a client error in a packet; 0 if there is none that ministack does not find itself."""
    from ministack.services import iot

    if (kind == iot.PKT_CONNECT) == bool(session._client_id):
        return _PROTOCOL_ERROR  # a second CONNECT, or something else before the first
    with suppress(ValueError, IndexError, struct.error):  # ministack answers malformed packets
        if kind == iot.PKT_CONNECT:
            session.protocol_version, session.keep_alive, client_id = _connect_fields(body)
            return _INVALID_CLIENT_ID if len(client_id.encode()) > MAX_CLIENT_ID else 0
        if kind == iot.PKT_PUBLISH:
            if flags & 0b100:
                return _NO_SUCH_QOS
            if len(body) > MAX_PAYLOAD and _payload_bytes(session, flags, body) > MAX_PAYLOAD:
                return _PACKET_TOO_LARGE
    return 0


def _connect_fields(body: bytes) -> tuple[int, int, str]:
    """Return protocol version, keep-alive (s) and client id of a CONNECT."""
    from ministack.services import iot

    _, at = iot._read_string(body, 0)
    version, _, keep_alive = struct.unpack_from("!BBH", body, at)
    at += 4
    if version == iot.MQTT_5:
        _, at = iot._decode_properties(body, at)
    client_id, _ = iot._read_string(body, at)
    return version, keep_alive, client_id


def _payload_bytes(session: Any, flags: int, body: bytes) -> int:
    from ministack.services import iot

    _, at = iot._read_string(body, 0)
    at += 2 if flags & 0b110 else 0
    if session.protocol_version == iot.MQTT_5:
        _, at = iot._decode_properties(body, at)
    return len(body) - int(at)


async def _answer_client_error(session: Any, kind: int, code: int) -> None:
    """Tell an MQTT 5 client the reason; MQTT 3.1.1 has one for the client id only."""
    from ministack.services import iot

    session._forced_disconnect_reason = "CLIENT_ERROR"
    version = session.protocol_version
    if code == _INVALID_CLIENT_ID:
        code = code if version == iot.MQTT_5 else _INVALID_CLIENT_ID_311
        await session.send_bytes(iot._make_connack(return_code=code, protocol_version=version))
    elif version == iot.MQTT_5:
        await session.send_bytes(iot._make_disconnect(code))


def _count_slashes() -> None:
    """Refuse topics and filters with too many levels; ministack accepts them, and counts the prefix of Basic Ingest."""
    from ministack.services import iot

    allowed = iot._reserved_filter_subscribe_allowed

    def validate_publish_topic(topic: str) -> bool:
        return bool(topic) and not {"+", "#"} & set(topic) and _is_within_limits(topic)

    def filter_allowed(topic_filter: str) -> bool:
        return _is_within_limits(topic_filter) and allowed(topic_filter)

    iot._validate_publish_topic = validate_publish_topic
    iot._reserved_filter_subscribe_allowed = filter_allowed


def _limit_publishing_over_http() -> None:
    """Refuse over HTTP what is refused over MQTT; ministack only limits the whole topic."""
    from ministack.core.responses import error_response_json
    from ministack.services import iot_data

    publish = iot_data._publish
    iot_data._MAX_TOPIC_BYTES = sys.maxsize

    async def limited(topic: str, body: bytes, *rest: Any) -> Any:
        if len(body) > MAX_PAYLOAD:
            return error_response_json("RequestEntityTooLargeException", "The payload exceeds 131072 bytes", 413)
        if not _is_within_limits(topic):
            return error_response_json("InvalidRequestException", f"Topic exceeds {_TOPIC_LIMITS}", 400)
        return await publish(topic, body, *rest)

    iot_data._publish = limited


def _allow_active_certificates_only() -> None:
    """Allow a certificate that is not active nothing; ministack looks at its status only when a client connects."""
    from ministack.core.responses import request_scope
    from ministack.services import iot

    allows = iot._mqtt_policy_allows

    def policy_allows(account: str, region: str, certificate: str, *rest: Any) -> bool:
        template = rest[-1]
        with request_scope(account, region):
            active = template or (iot._certificates.get(certificate) or {}).get("status") == "ACTIVE"
        return bool(active) and allows(account, region, certificate, *rest)

    iot._mqtt_policy_allows = policy_allows


def _match_policies_to_the_last_character() -> None:
    """Match a policy's resources exactly; ministack ignores a newline at the end of a topic or client id."""
    from ministack.core import iam_evaluator

    compile_pattern = iam_evaluator._fnmatch_compile

    @lru_cache(4096)
    def compile_exactly(pattern: str, ignore_case: bool) -> re.Pattern[str]:
        compiled = compile_pattern(pattern, ignore_case)
        return re.compile(compiled.pattern.removesuffix("$") + r"\Z", compiled.flags | re.DOTALL)

    iam_evaluator._fnmatch_compile = compile_exactly


def _take_turns() -> None:
    """Let others have a turn after each packet; ministack first handles all that it has read of one client.

    While fifty clients published as fast as they could, new ones did not get through a TLS handshake within 5 s.
    """
    from ministack.services import iot

    handle = iot._WSSession.handle_packet

    async def handle_packet(session: Any, kind: int, flags: int, body: bytes) -> bool:
        await asyncio.sleep(0)
        return bool(await handle(session, kind, flags, body))

    iot._WSSession.handle_packet = handle_packet
