"""Enrolled devices as they are looked at: in a list, once a minute, and one of them with its connection."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from iotpipe.devices import mark
from iotpipe.devices.mark import Mark
from iotpipe.errors import ResourceError
from tests.support.observed_world import NAMES, Observed, source

READ_ONLY = {"ListThings", "ListCertificates", "DescribeThing", "ListThingPrincipals", "DescribeCertificate"}


def enrol(device: str, **status: str) -> str:
    """A thing with a certificate; returns the certificate's id."""
    iot, thing = boto3.client("iot"), NAMES.thing(device)
    made = iot.create_certificate_from_csr(certificateSigningRequest=csr(thing), setAsActive=True)
    attributes = mark.attributes("dev", Mark((made["certificateId"],)))
    iot.create_thing(thingName=thing, attributePayload={"attributes": attributes})
    iot.attach_thing_principal(thingName=thing, principal=made["certificateArn"])
    if status:
        iot.update_certificate(certificateId=made["certificateId"], newStatus=status["status"])
    return str(made["certificateId"])


def csr(thing: str) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, thing[:64])])
    key = ec.generate_private_key(ec.SECP256R1())
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode()


def iot_calls(observed: Observed) -> list[str]:
    return [each for each in observed.world.calls if each in READ_ONLY | {"GetConnection"}]


def test_enrolments_are_read_when_somebody_looks_at_them_and_at_most_once_a_minute(with_devices: Observed) -> None:
    enrol("roof")
    enrol("attic", status="INACTIVE")
    observer = with_devices.observer(local=False)
    with_devices.world.calls.clear()
    assert with_devices.look(observer).devices.enrolled is None
    assert iot_calls(with_devices) == []
    listed = observer.enrolment()
    assert [(each.device_id, each.status, each.certificates) for each in listed.items] == [
        ("attic", "INACTIVE", 1),
        ("roof", "ACTIVE", 1),
    ]
    now = datetime.now(UTC).timestamp() * 1000
    assert all(each.created and abs(now - each.created) < 86_400_000 for each in listed.items)
    with_devices.pass_(50)
    observer.enrolment()
    assert iot_calls(with_devices) == ["ListThings", "ListCertificates"]
    with_devices.pass_(11)
    observer.enrolment()
    assert len(iot_calls(with_devices)) == 4
    found = with_devices.look(observer)
    assert found.devices.enrolled == 2
    assert found.nodes[0].note.endswith("2 enrolled")


def test_what_hinders_reading_them_is_told_and_the_list_is_kept(with_devices: Observed) -> None:
    enrol("roof")
    observer = with_devices.observer()
    assert observer.enrolment().problem is None
    with_devices.denied.add("ListThings")
    with_devices.pass_(11)
    told = observer.enrolment()
    assert told.problem and "not authorized to perform ListThings" in told.problem
    assert [each.device_id for each in told.items] == ["roof"]
    assert source(with_devices.look(observer), "enrolment").problem == told.problem
    with_devices.denied.clear()
    with_devices.pass_(11)
    assert observer.enrolment().problem is None
    assert "enrolment" not in {each.name for each in with_devices.look(observer).sources}


def test_one_device_has_its_certificates_and_its_connection(with_devices: Observed) -> None:
    certificate = enrol("roof")
    observer = with_devices.observer()
    with_devices.world.calls.clear()
    found = observer.device("roof")
    assert sorted(iot_calls(with_devices)) == sorted(
        ["DescribeThing", "ListThingPrincipals", "DescribeCertificate", "GetConnection"]
    )
    [issued] = found["certificates"]
    assert (found["enrolled"], issued["id"], issued["status"]) == (True, certificate, "ACTIVE")
    assert found["connection"] == {"connected": False, "since": None, "reason": "", "unknown_because": ""}
    with_devices.denied.add("GetConnection")
    unknown = observer.device("roof")["connection"]
    assert unknown["connected"] is None and "GetConnection" in unknown["unknown_because"]


@pytest.mark.parametrize("device", ["cellar", "no/thing", "x" * 200])
def test_a_device_that_is_not_enrolled_is_said_not_to_be(with_devices: Observed, device: str) -> None:
    found: dict[str, Any] = with_devices.observer().device(device)
    assert (found["enrolled"], found["certificates"], found["connection"]) == (False, [], None)


def test_a_failure_about_one_device_is_told(with_devices: Observed) -> None:
    enrol("roof")
    with_devices.denied.add("DescribeThing")
    with pytest.raises(ResourceError, match="DescribeThing"):
        with_devices.observer().device("roof")


def test_without_mqtt_nothing_is_asked(observed: Observed) -> None:
    observer = observed.observer()
    observed.world.calls.clear()
    assert (observer.enrolment().enabled, iot_calls(observed)) == (False, [])
