"""Private keys, certificate signing requests and certificates."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from iotpipe.errors import UsageError

_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_SMALLEST_RSA = 2048
_LONGEST_COMMON_NAME = 64


@dataclass(frozen=True)
class Request:
    """A certificate signing request. `key` is the fingerprint of its public key."""

    pem: str
    key: str


@dataclass(frozen=True)
class Issued:
    """What a certificate says. `key` is the fingerprint of its public key, `certificate_id` is AWS's id for it."""

    certificate_id: str
    key: str
    common_name: str
    expires: datetime


def common_name(thing: str) -> str:
    """The common name (CN) of a thing's certificates: its name, or the SHA-256 of a name that X.509 has no room for."""
    return thing if len(thing) <= _LONGEST_COMMON_NAME else hashlib.sha256(thing.encode()).hexdigest()


def new_key() -> bytes:
    """A new private key (EC P-256) as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def request_of(key: bytes, thing: str) -> Request:
    """A request for a certificate of the thing, signed with this key. Raises ValueError if the PEM is no such key."""
    private = _private(key)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name(thing))])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(private, hashes.SHA256())
    return Request(request.public_bytes(Encoding.PEM).decode(), fingerprint(private.public_key()))


def fingerprint_of(key: bytes) -> str:
    """The fingerprint of a private key's public key. Raises ValueError if the PEM is no such key."""
    return fingerprint(_private(key).public_key())


def _private(key: bytes) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    try:
        private = load_pem_private_key(key, None)
    except (TypeError, UnsupportedAlgorithm) as error:  # TypeError: it is encrypted
        raise ValueError(str(error)) from error
    if not isinstance(private, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise ValueError("neither an EC nor an RSA key")
    return private


def read_request(path: Path, thing: str) -> Request:
    """The request in a PEM file that a device made for itself. Raises UsageError if AWS IoT would not take it."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the certificate request {path}: {error.strerror}") from error
    try:
        request = x509.load_pem_x509_csr(text)
        public, valid = request.public_key(), request.is_signature_valid
        names = [str(each.value) for each in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    except (ValueError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise _refused(path, thing, "it is no certificate request in PEM form") from error
    if not valid:
        raise _refused(path, thing, "its signature is wrong")
    if weak := _weakness(public):
        raise _refused(path, thing, weak)
    if names != [common_name(thing)]:
        found = " and ".join(map(repr, names)) or "missing"
        raise _refused(path, thing, f"its common name is {found}, and has to be {common_name(thing)}")
    # The file itself may also hold the private key.
    return Request(request.public_bytes(Encoding.PEM).decode(), fingerprint(public))


def _weakness(public: CertificatePublicKeyTypes) -> str:
    if isinstance(public, rsa.RSAPublicKey):
        return "" if public.key_size >= _SMALLEST_RSA else f"its RSA key has {public.key_size} bits, 2048 are needed"
    if isinstance(public, ec.EllipticCurvePublicKey):
        curve = public.curve
        return "" if isinstance(curve, _CURVES) else f"its key is on the curve {curve.name}, not P-256, P-384 or P-521"
    return "its key is neither RSA nor EC"


def _refused(path: Path, thing: str, why: str) -> UsageError:
    name = common_name(thing)
    hint = (
        "`openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout private.key "
        f"-out device.csr -subj /CN={name}` makes a right one, and the key beside it. AWS IoT takes RSA from 2048 bits "
        "and EC P-256, P-384 and P-521"
    )
    return UsageError(f"{path} cannot be used: {why}", hint)


def fingerprint(public: CertificatePublicKeyTypes) -> str:
    """A public key's SHA-256, shortened to 128 bits, in hexadecimal."""
    encoded = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(encoded).hexdigest()[:32]


def read_certificate(pem: str | bytes) -> Issued:
    """What the certificate says. Raises ValueError if the PEM is no certificate."""
    certificate = x509.load_pem_x509_certificate(pem.encode() if isinstance(pem, str) else pem)
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return Issued(
        certificate.fingerprint(hashes.SHA256()).hex(),
        fingerprint(certificate.public_key()),
        str(names[0].value) if names else "",
        certificate.not_valid_after_utc,
    )
