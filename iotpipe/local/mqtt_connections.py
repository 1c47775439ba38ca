"""Ends MQTT connections of the embedded AWS and tells about them, which ministack 1.5.33 does not do."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

from iotpipe.local.mqtt_gaps import MAX_CLIENT_ID

_NOT_AUTHORIZED, _ADMINISTRATIVE_ACTION = 0x87, 0x98
"""Reason codes of MQTT 5."""
_KNOWN_AFTER_ITS_END = 30 * 60 * 1000
"""Milliseconds for which GetConnection knows a connection that has ended."""

_peer: ContextVar[tuple[str, int]] = ContextVar("peer", default=("", 0))


def close_gaps() -> None:
    """Apply every patch."""
    _remember_the_peer()
    _publish_wills_as_their_clients()
    _end_connections_that_are_no_longer_allowed()
    _get_and_delete_connections()


def _remember_the_peer() -> None:
    """Keep a client's address for GetConnection."""
    from ministack.services import iot

    serve, register = iot._mtls_serve_conn, iot._register_client

    async def serve_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _peer.set(writer.get_extra_info("peername")[:2])
        await serve(reader, writer)

    def register_client(account: str, region: str, client_id: str, session: Any, *rest: Any) -> None:
        session.peer = _peer.get()
        register(account, region, client_id, session, *rest)

    iot._mtls_serve_conn = serve_connection
    iot._register_client = register_client


def _publish_wills_as_their_clients() -> None:
    """Let rules know whose last will they get; ministack publishes it without client id and certificate."""
    from ministack.services import iot

    cleanup = iot._WSSession.cleanup

    async def publish_and_clean_up(session: Any) -> None:
        topic, session._will_topic = session._will_topic, None
        if topic is not None and not session._graceful_disconnect:
            await iot.broker_publish(
                session.account_id,
                session.region,
                topic,
                session._will_message or b"",
                qos=session._will_qos,
                retain=session._will_retain,
                properties=session._will_properties,
                client_id=session._client_id,
                principal=session._principal,
            )
        await cleanup(session)

    iot._WSSession.cleanup = publish_and_clean_up


def _end_connections_that_are_no_longer_allowed() -> None:
    """End the connections that a change of the registry forbids, at once. AWS does it within minutes, ministack never.

    A connection is forbidden as soon as its client could not connect again: its certificate was deactivated or
    deleted, or the policy, or the thing that the policy requires, was detached or changed.
    """
    from ministack.services import iot

    route = iot._route_request

    async def route_request(method: str, path: str, headers: Any, body: bytes, query: Any) -> Any:
        answer = await route(method, path, headers, body, query)
        if method != "GET":
            named = str((path, headers, body, query))
            for session in list(iot._connected_clients.values()):
                certificate = session.certificate_id
                concerned = path.startswith("/policies/") or (certificate or "") in named
                if certificate and concerned and not _may_connect(session):
                    await _end(session, _NOT_AUTHORIZED, "AUTH_ERROR")
        return answer

    iot._route_request = route_request


def _may_connect(session: Any) -> bool:
    """Whether the session's client could connect now; its later packets are judged by the present registry as well."""
    from ministack.services import iot

    session._policy_context = iot._mqtt_policy_context(
        session.account_id, session.region, session.certificate_id, session._client_id
    )
    return bool(session._policy_allows("iot:Connect", f"client/{session._client_id}"))


async def _end(session: Any, code: int, reason: str) -> None:
    """End a connection, and tell an MQTT 5 client the reason code."""
    from ministack.services import iot

    session._forced_disconnect_reason = reason
    await session.cleanup()
    with suppress(OSError):  # the client may be gone
        if session.protocol_version == iot.MQTT_5:
            with suppress(TimeoutError):  # it may read nothing
                await asyncio.wait_for(session.send_bytes(iot._make_disconnect(code)), 1)
        await session._send({"type": "websocket.close"})


def _get_and_delete_connections() -> None:
    """Support GetConnection and DeleteConnection, which ministack lacks."""
    from ministack.core import iam_actions
    from ministack.services import iot_data

    handle, find_resource = iot_data.handle_request, iam_actions.extract_resource_arn
    prefix = "/connections/"

    async def handle_request(method: str, path: str, headers: Any, body: bytes, query: Any) -> Any:
        if path.startswith(prefix) and method in ("GET", "DELETE"):
            asked = {name: "true" in values for name, values in query.items()}
            return await (_get if method == "GET" else _delete)(path.removeprefix(prefix), asked)
        return await handle(method, path, headers, body, query)

    def extract_resource_arn(service: str, method: str, path: str, *rest: Any) -> str:
        if service == "iot-data" and path.startswith(prefix):
            region, account = rest[-2:]
            return f"arn:aws:iot:{region}:{account}:client/{path.removeprefix(prefix)}"
        return str(find_resource(service, method, path, *rest))

    iot_data.handle_request = handle_request
    iam_actions.extract_resource_arn = extract_resource_arn


async def _get(client_id: str, asked: dict[str, bool]) -> Any:
    from ministack.core.responses import json_response
    from ministack.services import iot

    if refusal := _refusal(client_id):
        return refusal
    key = _key(client_id)
    session, last = iot._connected_clients.get(key), iot._connectivity.get(key)
    if session is None and (last is None or time.time() * 1000 - last["timestamp"] > _KNOWN_AFTER_ITS_END):
        return _unknown(client_id)
    if session is None:
        since = {"disconnectedSince": last["timestamp"], "disconnectReason": last["disconnectReason"]}
        return json_response({"clientId": client_id, "connected": False} | since)
    description = {
        "clientId": client_id,
        "connected": True,
        "connectedSince": last["timestamp"],
        "cleanSession": not session._persist_session,
        "keepAliveDuration": session.keep_alive,
        "sessionExpiry": _session_expiry(session),
    }
    if thing := session._policy_context.get("iot:connection.thing.thingname"):
        description["thingName"] = thing
    if asked.get("includeSocketInformation"):
        source, port = session.peer
        description |= {"sourceIp": source, "sourcePort": port, "targetIp": "127.0.0.1"}
    return json_response(description)


def _session_expiry(session: Any) -> int:
    """Seconds for which a session outlives its connection."""
    from ministack.services import iot

    if not session._persist_session:
        return 0
    asked = session._session_expiry_interval
    return int(iot._SESSION_EXPIRY_SECONDS if asked is None else asked)


async def _delete(client_id: str, asked: dict[str, bool]) -> Any:
    from ministack.services import iot

    if refusal := _refusal(client_id):
        return refusal
    session = iot._connected_clients.get(_key(client_id))
    if session is None:
        return _unknown(client_id)
    if asked.get("cleanSession"):
        session._persist_session = False
    if asked.get("preventWillMessage"):
        session._will_topic = None
    await _end(session, _ADMINISTRATIVE_ACTION, "API_INITIATED_DISCONNECT")
    return 200, {}, b""


def _key(client_id: str) -> tuple[str, str, str]:
    from ministack.core.responses import get_account_id, get_region

    return get_account_id(), get_region(), client_id


def _refusal(client_id: str) -> Any:
    from ministack.core.responses import error_response_json

    if client_id.startswith("$") or not 1 <= len(client_id) <= MAX_CLIENT_ID:
        return error_response_json("InvalidRequestException", f"Invalid client id {client_id!r}", 400)
    return None


def _unknown(client_id: str) -> Any:
    from ministack.core.responses import error_response_json

    return error_response_json("ResourceNotFoundException", f"No connection of the client {client_id!r}", 404)
