"""What ministack 1.5.33 imports although the pipeline does not need it: left out, so that the engine starts sooner."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any, cast

Tagged = Iterable[tuple[str, list[dict[str, str]]]]
"""ARNs with their tags, as one of ministack's collectors finds them."""

_PROTOCOLS: dict[str, dict[str, str]] = {
    "apigateway": {"protocol": "rest-json"},
    "dynamodb": {"protocol": "json", "jsonVersion": "1.0"},
    "iam": {"protocol": "query"},
    "iot": {"protocol": "rest-json"},
    "iot-data": {"protocol": "rest-json"},
    "lambda": {"protocol": "rest-json"},
    "logs": {"protocol": "json", "jsonVersion": "1.1"},
    "monitoring": {"protocol": "smithy-rpc-v2-cbor", "jsonVersion": "1.0"},
    "sns": {"protocol": "query"},
    "sqs": {"protocol": "json", "jsonVersion": "1.0"},
    "ssm": {"protocol": "json", "jsonVersion": "1.1"},
    "sts": {"protocol": "query"},
    "tagging": {"protocol": "json", "jsonVersion": "1.1"},
}
"""Of the services that the pipeline uses, by ministack's names: what botocore's models say about their protocols."""


def leave_out() -> None:
    """Call it before ministack's services are imported."""
    _docker()
    _botocore_models()
    _services_to_search()


def _docker() -> None:
    """Importing Docker's SDK, where it is installed, takes 0.06 s; functions run without it."""
    cast(dict[str, Any], sys.modules)["docker"] = None


def _botocore_models() -> None:
    """ministack imports botocore, and loads the model of each service, to choose the Content-Type of its answers."""
    from ministack.core import responses

    load = responses._service_model

    def service_model(service: str) -> Any:
        metadata = _PROTOCOLS.get(service)
        return SimpleNamespace(metadata=metadata) if metadata else load(service)

    responses._service_model = service_model


def _services_to_search() -> None:
    """GetResources imports each service that can have tags, which takes 0.1 s: that of Cognito makes an RSA key.

    A service that is not imported has nothing: ministack imports those with saved data when it starts.
    """
    from ministack.services import tagging

    search = {collect: _if_imported(collect) for collect in (*tagging._COLLECTORS.values(), tagging._collect_iot)}
    tagging._COLLECTORS = {name: search[collect] for name, collect in tagging._COLLECTORS.items()}
    tagging._collect_iot = search[tagging._collect_iot]


def _if_imported(collect: Callable[[], Tagged]) -> Callable[[], Tagged]:
    modules = [name for name in collect.__code__.co_names if name.startswith("ministack.services.")]
    return lambda: collect() if all(name in sys.modules for name in modules) else ()
