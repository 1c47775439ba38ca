"""Select the files of the wheels for the layer: what the handlers can import, and a minimum of botocore's data."""

from __future__ import annotations

import gzip
import io
import json
import re
import zipfile
from collections.abc import Iterable
from typing import Any

# Increase this number with any change of `trimmed`'s result: it is part of the layer's identity.
RULES_VERSION = 2

# The services of the handlers' clients, and xray: the X-Ray SDK creates a client when it is
# imported anywhere but on Lambda.
SERVICES = ("dynamodb", "iot-data", "sns", "sqs", "ssm", "xray")

# The names of their endpoints, where these differ.
_ENDPOINT_PREFIXES = {"iot-data": "data-ats.iot"}

# Metadata and scripts of wheels, type stubs, C sources; API versions and examples that no client reads; the
# X-Ray SDK's patches for libraries that the layer does not have.
_LEFT_OUT = re.compile(
    r"""
    [^/]+\.(dist-info|data)/
    | wrapt-stubs/
    | .*\.(pyi|c|js)$
    | .*/py\.typed$
    | botocore/data/dynamodb/2011-12-05/
    | botocore/data/.*/examples-1\.json$
    | aws_xray_sdk/ext/(?!botocore/|resources/|__init__\.py|boto_utils\.py|util\.py)
    """,
    re.VERBOSE,
)
_SERVICE_DATA = re.compile(r"botocore/data/([^/]+)/")
_ENDPOINTS = "botocore/data/endpoints.json"


def trimmed(wheels: Iterable[bytes]) -> dict[str, bytes]:
    """Path below site-packages → content of the wheels' files that go into the layer."""
    files: dict[str, bytes] = {}
    for wheel in wheels:
        with zipfile.ZipFile(io.BytesIO(wheel)) as source:
            for path in filter(_is_wanted, source.namelist()):
                entry, content = _reduced(path, source.read(path))
                files[entry] = content
    return files


def _is_wanted(path: str) -> bool:
    service = _SERVICE_DATA.match(path)
    return not (path.endswith("/") or _LEFT_OUT.match(path) or (service and service.group(1) not in SERVICES))


def _reduced(path: str, content: bytes) -> tuple[str, bytes]:
    """The entry that stands in the layer for this one of a wheel.

    botocore reads these files when a client is made. The endpoints of 400 services and the prose of the API
    reference are most of them, and most of the time that reading takes; botocore needs neither, and looks for
    a file without .gz first.
    """
    if path == _ENDPOINTS:
        return path, _as_json(_of_our_services(json.loads(content)))
    if path.startswith("botocore/data/") and path.endswith(".json.gz"):
        return path.removesuffix(".gz"), _as_json(_without_prose(json.loads(gzip.decompress(content))))
    return path, content


def _of_our_services(endpoints: dict[str, Any]) -> dict[str, Any]:
    ours = {_ENDPOINT_PREFIXES.get(name, name) for name in SERVICES}
    for partition in endpoints["partitions"]:
        partition["services"] = {name: about for name, about in partition["services"].items() if name in ours}
    return endpoints


def _without_prose(node: Any) -> Any:
    """The same with all documentation texts emptied; a member named documentation (an object) stays."""
    if isinstance(node, dict):
        return {
            key: "" if key == "documentation" and isinstance(value, str) else _without_prose(value)
            for key, value in node.items()
        }
    return [_without_prose(each) for each in node] if isinstance(node, list) else node


def _as_json(node: Any) -> bytes:
    return json.dumps(node, separators=(",", ":")).encode()
