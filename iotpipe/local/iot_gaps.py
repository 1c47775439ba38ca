"""Patches for ministack 1.5.33's gaps in AWS IoT: one function per gap, with its reason."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from iotpipe.files import write_atomically
from iotpipe.local import mqtt_connections, mqtt_gaps, registry_gaps, rule_gaps


@dataclass(frozen=True)
class Surroundings:
    """What the patches need to know of the engine. `on_change` is called when there is something to save."""

    port: Callable[[], int]
    ca: Path
    on_change: Callable[[], None]


def close_when_loaded(engine: Surroundings) -> None:
    """Have every patch applied as soon as ministack loads its IoT services, which takes 0.1 s: not at each start."""
    from ministack import app

    get_module = app._get_module

    @cache
    def close_once() -> None:
        _close(engine)

    def get_and_close(name: str) -> Any:
        module = get_module(name)
        if name in ("iot", "iot_data"):
            close_once()
        return module

    app._get_module = get_and_close


def _close(engine: Surroundings) -> None:
    _publish_the_ca(engine)
    _answer_with_the_listeners_address(engine)
    _require_client_certificates()
    _save_what_devices_change(engine)
    mqtt_gaps.close()
    mqtt_connections.close_gaps()
    rule_gaps.close()
    registry_gaps.close()


def _publish_the_ca(engine: Surroundings) -> None:
    """Write the certificate authority to a file for MQTT clients; ministack only has a path that needs a signature."""
    from ministack.services import iot

    ensure = iot._ensure_ca

    @cache
    def publish(certificate: str) -> None:
        write_atomically(engine.ca, certificate.encode())
        engine.on_change()

    def ensure_ca() -> tuple[str, str]:
        certificate, key = ensure()
        publish(certificate)
        return certificate, key

    iot._ensure_ca = ensure_ca


def _answer_with_the_listeners_address(engine: Surroundings) -> None:
    """Answer DescribeEndpoint with the address that serves devices; ministack answers with its HTTP port."""
    from ministack.core.responses import json_response
    from ministack.services import iot

    describe = iot._describe_endpoint

    def describe_endpoint(query: dict[str, str]) -> Any:
        if query.get("endpointType") != "iot:Data-ATS":
            return describe(query)
        iot._ensure_ca()  # whoever asks for the address needs the certificate, too
        return json_response({"endpointAddress": f"localhost:{engine.port()}"})

    iot._describe_endpoint = describe_endpoint


def _require_client_certificates() -> None:
    """Refuse clients without a certificate; ministack serves them, and checks no policy for them."""
    from ministack.services import iot

    build = iot._mtls_build_ssl_context

    def build_ssl_context() -> ssl.SSLContext:
        context: ssl.SSLContext = build()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    iot._mtls_build_ssl_context = build_ssl_context


def _save_what_devices_change(engine: Surroundings) -> None:
    """Have the state saved after a publish, which changes retained messages and shadows without an HTTP request."""
    from ministack.services import iot

    publish = iot.broker_publish

    async def broker_publish(*args: Any, **named: Any) -> None:
        await publish(*args, **named)
        engine.on_change()

    iot.broker_publish = broker_publish
