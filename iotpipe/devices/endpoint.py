"""Where devices connect: the host, the port, and the certificate authority (CA) that vouches for the host."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from iotpipe.devices.registry import Registry

MQTT_PORT = 8883
AMAZON_ROOT_CA = Path(__file__).with_name("amazon-root-ca-1.pem")
"""Amazon Root CA 1, from https://www.amazontrust.com/repository/. It is valid until 17 January 2038."""


@dataclass(frozen=True)
class Endpoint:
    """Where devices connect. `ca_file` is the CA's certificate as PEM."""

    host: str
    port: int
    ca_file: Path


def endpoint(registry: Registry, emulator_ca: Path | None = None) -> Endpoint:
    """The endpoint of the account. `emulator_ca` is the CA of the embedded AWS; None on AWS. Raises ResourceError."""
    host, _, port = registry.data_endpoint().partition(":")
    return Endpoint(host, int(port or MQTT_PORT), emulator_ca or AMAZON_ROOT_CA)
