"""Patches for ministack 1.5.33's gaps in the registry of AWS IoT, which accepts what AWS refuses.

The limits are from https://docs.aws.amazon.com/general/latest/gr/iot-core.html, the patterns from the API reference.
"""

from __future__ import annotations

import json
import re
from functools import cache, lru_cache
from typing import Any

_MAX_POLICY, _MAX_VERSIONS, _MAX_ATTRIBUTES = 2048, 5, 3
"""Characters of a policy without white space, versions of a policy, attributes of a thing without a type."""

_POLICY_NAME = re.compile(r"[a-zA-Z0-9_+=,.@-]{1,128}")
_ATTRIBUTE_NAME = re.compile(r"[a-zA-Z0-9_.,@/:#-]{1,128}")
_ATTRIBUTE_VALUE = re.compile(r"[a-zA-Z0-9_.,@/:#=\[\]-]{0,800}")


def close() -> None:
    """Apply every patch."""
    _check_policy_names()
    _check_policy_documents()
    _check_attributes()
    _check_versions()
    _attach_exclusively()
    _load_the_authoritys_key_once()


def _error(code: str, message: str, status: int = 400) -> Any:
    from ministack.core.responses import error_response_json

    return error_response_json(code, message, status)


def _check_policy_names() -> None:
    """Check policy names by AWS's pattern; ministack uses that of things."""
    from ministack.services import iot

    validate = iot._validate_name

    def validate_name(name: str | None, field: str) -> Any:
        if field != "policyName":
            return validate(name, field)
        message = "Value at 'policyName' failed to satisfy constraint: Member must satisfy regular expression pattern"
        valid = name and _POLICY_NAME.fullmatch(name)
        return None if valid else _error("InvalidRequestException", f"{message}: {_POLICY_NAME.pattern}")

    iot._validate_name = validate_name


def _check_policy_documents() -> None:
    """Refuse a policy that is too long or is none, and a sixth version; ministack refuses only what is not JSON."""
    from ministack.services import iot

    create, create_version = iot._create_policy, iot._create_policy_version

    def create_policy(name: str, payload: Any) -> Any:
        return _malformed(payload.get("policyDocument")) or create(name, payload)

    def create_policy_version(name: str, payload: Any, query: Any) -> Any:
        if malformed := _malformed(payload.get("policyDocument")):
            return malformed
        policy = iot._policies.get(name)
        if policy and len(policy["versions"]) >= _MAX_VERSIONS:
            message = f"The policy already has {_MAX_VERSIONS} versions (name={name})"
            return _error("VersionsLimitExceededException", message, 409)
        return create_version(name, payload, query)

    iot._create_policy = create_policy
    iot._create_policy_version = create_policy_version


def _malformed(document: Any) -> Any:
    """Return the refusal of a policy document; None if AWS accepts it."""
    if not isinstance(document, str) or not document:
        return None  # ministack refuses it
    if len(re.sub(r"\s", "", document)) > _MAX_POLICY:
        return _error("MalformedPolicyException", f"Policy document is longer than {_MAX_POLICY} characters")
    try:
        content = json.loads(document)
    except ValueError as error:
        return _error("MalformedPolicyException", f"Policy document is not JSON: {error}")
    statements = content.get("Statement") if isinstance(content, dict) else None
    statements = statements if isinstance(statements, list) else [statements]
    if not statements or not all(map(_is_statement, statements)):
        message = "Policy document is malformed: each Statement needs Effect, Action and Resource"
        return _error("MalformedPolicyException", message)
    return None


def _is_statement(statement: Any) -> bool:
    return (
        isinstance(statement, dict)
        and statement.get("Effect") in ("Allow", "Deny")
        and all(statement.get(name) and isinstance(statement[name], str | list) for name in ("Action", "Resource"))
    )


def _check_attributes() -> None:
    """Refuse more attributes than a thing without a type can have, and characters that AWS does not allow in them."""
    from ministack.services import iot

    create, update = iot._create_thing, iot._update_thing

    def create_thing(name: str, payload: Any) -> Any:
        return _refused_attributes(payload, {}, payload.get("thingTypeName")) or create(name, payload)

    def update_thing(name: str, payload: Any) -> Any:
        thing = iot._things.get(name) or {}
        merged = (payload.get("attributePayload") or {}).get("merge")
        kind = "" if payload.get("removeThingType") else payload.get("thingTypeName") or thing.get("thingTypeName")
        kept = thing.get("attributes", {}) if merged or "attributePayload" not in payload else {}
        return _refused_attributes(payload, kept, kind) or update(name, payload)

    iot._create_thing = create_thing
    iot._update_thing = update_thing


def _refused_attributes(payload: Any, kept: dict[str, str], kind: str | None) -> Any:
    """Return the refusal of the attributes that a thing would have; None if AWS accepts them."""
    given = (payload.get("attributePayload") or {}).get("attributes") or {}
    for name, value in given.items():
        if not (_ATTRIBUTE_NAME.fullmatch(name) and _ATTRIBUTE_VALUE.fullmatch(value or "")):
            message = f"Value {{{name}={value}}} at 'attributePayload.attributes' failed to satisfy constraint"
            return _error("InvalidRequestException", message)
    if not kind and sum(bool(value) for value in (kept | given).values()) > _MAX_ATTRIBUTES:
        message = f"A thing without a thing type has at most {_MAX_ATTRIBUTES} attributes"
        return _error("InvalidRequestException", message)
    return None


def _check_versions() -> None:
    """Refuse an update of a thing that was updated since it was read; ministack ignores the version in it."""
    from ministack.services import iot

    update = iot._update_thing

    def update_thing(name: str, payload: Any) -> Any:
        thing, expected = iot._things.get(name), payload.get("expectedVersion")
        if thing is None or expected in (None, thing.get("version", 1)):
            return update(name, payload)
        message = f"The version for thing {name} does not match the expected version."
        return _error("VersionConflictException", message, 409)

    iot._update_thing = update_thing


def _attach_exclusively() -> None:
    """Attach a certificate to one thing alone if EXCLUSIVE_THING asks for it; ministack ignores it.

    The policy variables then describe that thing, whatever the client id is.
    """
    from ministack.core.responses import request_scope
    from ministack.services import iot

    handle, context_of = iot._handle_thing_principals, iot._mqtt_policy_context

    def handle_thing_principals(method: str, path: str, headers: Any, body: bytes, query: Any) -> Any:
        certificate = iot._certificates.get((headers.get("x-amzn-principal") or "").rpartition("/")[2])
        thing = iot._things.get(path.split("/")[2])
        if method == "GET" or certificate is None or thing is None:
            return handle(method, path, headers, body, query)
        arn, exclusive = thing["thingArn"], query.get("thingPrincipalType") == "EXCLUSIVE_THING"
        others = [each for each in certificate["attachedThings"] if each != arn]
        if method == "PUT" and others and (exclusive or certificate.get("exclusiveThing")):
            return _error("InvalidRequestException", f"The principal is attached to another thing: {others[0]}")
        answer = handle(method, path, headers, body, query)
        if method == "DELETE" and certificate.get("exclusiveThing") == arn:
            del certificate["exclusiveThing"]
        elif exclusive:
            certificate["exclusiveThing"] = arn
        return answer

    def policy_context(account: str, region: str, certificate: str, client_id: str) -> dict[str, str]:
        with request_scope(account, region):
            exclusive = (iot._certificates.get(certificate) or {}).get("exclusiveThing", "")
        thing = exclusive.rpartition("/")[2] or client_id
        return dict(context_of(account, region, certificate, thing)) | {"iot:clientid": client_id}

    iot._handle_thing_principals = handle_thing_principals
    iot._mqtt_policy_context = policy_context


class _KeepingKeys:
    """The module `serialization` of cryptography, but a key is loaded once."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self.load_pem_private_key = lru_cache(maxsize=4)(module.load_pem_private_key)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def _load_the_authoritys_key_once() -> None:
    """Keep the key that signs certificates: to load it, as ministack does for each of them, takes 50 ms."""
    from ministack.core import x509_utils

    require = x509_utils._require_crypto

    @cache
    def keep_keys() -> None:
        x509_utils.serialization = _KeepingKeys(x509_utils.serialization)

    def require_cryptography() -> None:
        require()
        keep_keys()

    x509_utils._require_crypto = require_cryptography
