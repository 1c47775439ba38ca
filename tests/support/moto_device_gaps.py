"""What moto 5.2.5 lacks of AWS IoT's things, certificates and connections."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from moto.core.responses import ActionResult, EmptyResult
from moto.iot.exceptions import (
    InvalidRequestException,
    ResourceAlreadyExistsException,
    ResourceNotFoundException,
    VersionConflictException,
)
from moto.iot.models import FakeCertificate, IoTBackend
from moto.iot.responses import IoTResponse
from moto.iotdata.models import IoTDataPlaneBackend
from moto.iotdata.responses import IoTDataPlaneResponse
from moto.logs.models import logs_backends

_create_thing, _update_thing, _delete_thing = (
    IoTBackend.create_thing,
    IoTResponse.update_thing,
    IoTBackend.delete_thing,
)
_publish = IoTDataPlaneBackend.publish
_attach = IoTResponse.attach_thing_principal
_CA_KEY = ec.generate_private_key(ec.SECP256R1())
_CA_NAME = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATIONAL_UNIT_NAME, "Amazon Web Services")])
_END = datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)


def create_thing(
    self: Any, thing_name: str, thing_type_name: Any, attribute_payload: Any, billing_group_name: Any = None
) -> Any:
    """CreateThing replaces a thing. AWS answers with an equal one, and refuses one with other attributes."""
    attributes = (attribute_payload or {}).get("attributes") or {}
    for thing in self.things.values():
        if thing.thing_name == thing_name:
            if thing.attributes != attributes:
                text = f"Thing {thing_name} already exists in account with different attributes"
                raise ResourceAlreadyExistsException(text, thing.thing_id, thing.arn)
            return thing
    return _create_thing(self, thing_name, thing_type_name, attribute_payload, billing_group_name)


def update_thing(self: Any) -> Any:
    """UpdateThing knows no versions."""
    name, expected = self._get_param("thingName"), self._get_param("expectedVersion")
    thing = self.iot_backend.describe_thing(name)
    if expected is not None and int(expected) != thing.version:
        raise VersionConflictException(name)
    answer = _update_thing(self)
    thing.version += 1
    return answer


def delete_thing(self: Any, thing_name: str) -> None:
    """DeleteThing refuses a thing that is not there; AWS has deleted it."""
    if any(each.thing_name == thing_name for each in self.things.values()):
        _delete_thing(self, thing_name)


def attach_thing_principal(self: Any) -> Any:
    """AttachThingPrincipal knows no EXCLUSIVE_THING."""
    thing, principal = self._get_param("thingName"), self.headers.get("x-amzn-principal")
    others = {name for arn, name in self.iot_backend.principal_things if arn == principal} - {thing}
    if others and self._get_param("thingPrincipalType") == "EXCLUSIVE_THING":
        raise InvalidRequestException(f"Principal {principal} is attached to another thing")
    return _attach(self)


def create_certificate_from_csr(self: Any, csr: str, set_as_active: bool) -> FakeCertificate:
    """The certificate has a key that nobody knows, and not the request's."""
    request = x509.load_pem_x509_csr(csr.encode())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(request.subject)
        .issuer_name(_CA_NAME)
        .public_key(request.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(_END)
        .sign(_CA_KEY, hashes.SHA256())
    )
    pem = certificate.public_bytes(Encoding.PEM).decode()
    found: FakeCertificate = self.register_certificate(
        pem, ca_certificate_pem=None, set_as_active=set_as_active, status="INACTIVE"
    )
    return found


def certificate_id(self: Any, certificate_pem: str) -> str:
    """The id of a certificate is not the fingerprint of its DER form, unless moto is configured so."""
    return str(self.compute_der_cert_id(certificate_pem))


def list_certificates(self: Any) -> ActionResult:
    """ListCertificates answers with all of them at once, the oldest first whatever was asked for."""
    found = sorted(self.iot_backend.list_certificates(), key=lambda each: each.creation_date)
    if str(self._get_param("ascendingOrder")).lower() != "true":
        found.reverse()
    start, size = int(self._get_param("marker") or 0), int(self._get_param("pageSize") or 25)
    page = {"certificates": [each.to_dict() for each in found[start : start + size]]}
    return ActionResult(page | ({"nextMarker": str(start + size)} if len(found) > start + size else {}))


def describe_endpoint(self: Any) -> ActionResult:
    """The endpoint of an account is another one each time."""
    return ActionResult({"endpointAddress": f"a1b2c3d4e5f6g7-ats.iot.{self.region}.amazonaws.com"})


def _connections(response: Any) -> dict[str, dict[str, Any]]:
    """Who is connected, by client id."""
    found: dict[str, dict[str, Any]] = vars(response.iotdata_backend).setdefault("connections", {})
    return found


def _client_id(response: Any) -> str:
    return unquote(response.path.rpartition("/connections/")[2])


def get_connection(self: Any) -> str:
    """GetConnection is not there."""
    found = _connections(self).get(_client_id(self))
    if found is None:
        raise ResourceNotFoundException(f"No connection of {_client_id(self)}")
    return json.dumps(found)


def delete_connection(self: Any) -> Any:
    """DeleteConnection is not there."""
    if _connections(self).pop(_client_id(self), None) is None:
        raise ResourceNotFoundException(f"No connection of {_client_id(self)}")
    return EmptyResult()


def publish(self: Any, topic: str, payload: bytes) -> None:
    """Publish reaches no topic rule, and no function behind it: what `up` tests a new rule with is never logged."""
    _publish(self, topic, payload)
    parts, document = topic.split("/"), json.loads(payload)
    if parts[:2] != ["$aws", "rules"] or "self_test" not in document:
        return
    logs, group = logs_backends[self.account_id][self.region_name], f"/aws/lambda/data-ingestion-{parts[4]}"
    if group in logs.groups:
        line = json.dumps({"route": "mqtt", "self_tests": [document["self_test"]]})
        stream = document["self_test"]
        logs.create_log_stream(group, stream)
        logs.put_log_events(group, stream, [{"timestamp": int(time.time() * 1000), "message": line}])


PATCHES: tuple[tuple[Any, str, Callable[..., Any]], ...] = (
    (IoTBackend, "create_thing", create_thing),
    (IoTResponse, "update_thing", update_thing),
    (IoTBackend, "delete_thing", delete_thing),
    (IoTResponse, "attach_thing_principal", attach_thing_principal),
    (IoTBackend, "create_certificate_from_csr", create_certificate_from_csr),
    (FakeCertificate, "compute_cert_id", certificate_id),
    (IoTResponse, "list_certificates", list_certificates),
    (IoTResponse, "describe_endpoint", describe_endpoint),
    (IoTDataPlaneResponse, "get_connection", get_connection),
    (IoTDataPlaneResponse, "delete_connection", delete_connection),
    (IoTDataPlaneBackend, "publish", publish),
)
