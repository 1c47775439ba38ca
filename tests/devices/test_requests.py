"""Which ids and certificate requests are taken: the rest is refused before anything is created."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from iotpipe.devices import device_names, keys, table
from iotpipe.errors import UsageError
from tests.support.devices_world import NAMES, DevicesWorld, account, whole

THING = NAMES.thing("roof")


def request(key: object, *names: str) -> bytes:
    """A request with these common names, in PEM."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names])
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    signed = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, algorithm)  # type: ignore[arg-type] # any key
    return signed.public_bytes(Encoding.PEM)


def rsa_key(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def ec_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve or ec.SECP256R1())


def with_a_wrong_signature() -> bytes:
    der = bytearray(x509.load_pem_x509_csr(request(ec_key(), THING)).public_bytes(Encoding.DER))
    place = der.index(b"dev:roof")
    der[place : place + 8] = b"dev:cell"
    return x509.load_der_x509_csr(bytes(der)).public_bytes(Encoding.PEM)


REFUSED: list[tuple[Callable[[], bytes], str]] = [
    (lambda: b"", "it is no certificate request in PEM form"),
    (lambda: b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "it is no certificate"),
    (with_a_wrong_signature, "its signature is wrong"),
    (lambda: request(rsa_key(1024), THING), "its RSA key has 1024 bits, 2048 are needed"),
    (lambda: request(ec_key(ec.SECP224R1()), THING), "its key is on the curve secp224r1, not P-256, P-384 or P-521"),
    (lambda: request(ed25519.Ed25519PrivateKey.generate(), THING), "its key is neither RSA nor EC"),
    (lambda: request(dsa.generate_private_key(2048), THING), "its key is neither RSA nor EC"),
    (lambda: request(ec_key(), "roof"), "its common name is 'roof', and has to be dev:roof"),
    (lambda: request(ec_key(), "dev:roof "), "its common name is 'dev:roof ', and has to be dev:roof"),
    (lambda: request(ec_key()), "its common name is missing, and has to be dev:roof"),
    (lambda: request(ec_key(), THING, "other"), "its common name is 'dev:roof' and 'other', and has to be dev:roof"),
]


@pytest.mark.parametrize(("make", "told"), REFUSED, ids=[told for _, told in REFUSED])
def test_a_bad_request_is_refused_with_the_command_that_makes_a_right_one(
    tmp_path: Path, make: Callable[[], bytes], told: str
) -> None:
    file = tmp_path / "device.csr"
    file.write_bytes(make())
    with pytest.raises(UsageError, match=re.escape(told)) as refused:
        keys.read_request(file, THING)
    assert "openssl req -new" in refused.value.hint and "-subj /CN=dev:roof" in refused.value.hint


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read the certificate request .*: No such file"):
        keys.read_request(tmp_path / "none.csr", THING)


@pytest.mark.skipif(not shutil.which("openssl"), reason="there is no openssl")
def test_the_command_that_is_told_makes_a_right_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        keys.read_request(Path(__file__), THING)
    command = re.findall(r"`(.*?)`", refused.value.hint)[0]
    subprocess.run(shlex.split(command), cwd=tmp_path, check=True, capture_output=True)
    assert keys.read_request(tmp_path / "device.csr", THING).key


@pytest.mark.parametrize(
    "make",
    [
        lambda: rsa_key(2048),
        lambda: rsa_key(3072),
        lambda: ec_key(),
        lambda: ec_key(ec.SECP384R1()),
        lambda: ec_key(ec.SECP521R1()),
    ],
    ids=["RSA 2048", "RSA 3072", "P-256", "P-384", "P-521"],
)
def test_a_device_that_has_its_key_gets_a_certificate_for_it(
    world: DevicesWorld, tmp_path: Path, make: Callable[[], ec.EllipticCurvePrivateKey]
) -> None:
    file = tmp_path / "device.csr"
    file.write_bytes(request(make(), THING))
    given = keys.read_request(file, THING)
    folder = world.enrol("roof", given).folder
    assert account() == whole("roof")
    assert not folder.key_file.exists()
    certificate = folder.certificate()
    assert certificate and certificate.key == given.key
    assert world.enrol("roof", given).result == "already enrolled"


def test_a_private_key_beside_the_request_is_not_sent(world: DevicesWorld, tmp_path: Path) -> None:
    key, file = ec_key(), tmp_path / "device.csr"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    sent: list[str] = []
    world.before = lambda operation, parameters: sent.append(repr(parameters))
    for content in (request(key, THING) + secret, secret + request(key, THING)):
        file.write_bytes(content)
        assert "PRIVATE" not in keys.read_request(file, THING).pem
    world.enrol("roof", keys.read_request(file, THING))
    assert not any("PRIVATE" in each for each in sent)


@pytest.mark.parametrize("device_id", ["roof", "a", "A-1_b:c", "-", "a" * 124])
def test_a_legal_id_is_taken(device_id: str) -> None:
    assert device_names.checked(NAMES, [device_id])[0].thing == f"dev:{device_id}"


@pytest.mark.parametrize("device_id", ["", "a.b", "a/b", "a#b", "a b", "ä", "a\n", "a" * 125])
def test_another_id_is_refused_with_the_rule(device_id: str) -> None:
    with pytest.raises(UsageError, match="can send over HTTP"):
        device_names.checked(NAMES, [device_id])


# A table of devices


def read(tmp_path: Path, text: str | bytes) -> list[table.Row]:
    file = tmp_path / "devices.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return table.read(file, NAMES)


def test_the_devices_of_a_table_are_read_in_its_order(tmp_path: Path) -> None:
    (tmp_path / "roof.csr").write_bytes(request(ec_key(), THING))
    rows = read(tmp_path, "\ufeffname,device_id,csr\nRoof,roof,roof.csr\nCellar, cellar ,\n")
    assert [row.device.device_id for row in rows] == ["roof", "cellar"]
    assert [bool(row.request) for row in rows] == [True, False]


def test_every_bad_row_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "roof.csr").write_bytes(request(ec_key(), THING))
    text = "device_id,csr\nroof,roof.csr\na/b,\n,\nroof,\ncellar,roof.csr\nshed,none.csr\n"
    with pytest.raises(UsageError) as refused:
        read(tmp_path, text)
    lines = refused.value.message.splitlines()
    assert lines[0].endswith("devices.csv has 5 bad rows:")
    expected = [
        "  line 3: 'a/b' is no id for a device over MQTT",
        "  line 4: no device_id",
        "  line 5: the same device as in line 2",
        "  line 6: ",
        "  line 7: cannot read the certificate request",
    ]
    assert all(line.startswith(told) for line, told in zip(lines[1:], expected, strict=True)), lines


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has no column device_id. Its first line is empty"),
        ("id\nroof\n", "has no column device_id. Its first line is id"),
        (b"device_id\n\xff\n", "is no CSV file in UTF-8"),
        ('device_id\n"roof\n', "is no CSV file in UTF-8"),
        ("device_id\n", "lists no device"),
    ],
)
def test_a_file_that_is_no_table_is_told(tmp_path: Path, text: str | bytes, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        read(tmp_path, text)


def test_a_table_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*: No such file"):
        table.read(tmp_path / "none.csv", NAMES)
