"""Answers of the API that come page by page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from iotpipe.errors import IotpipeError, UsageError
from iotpipe.readings import exact_json
from iotpipe.readings.api_client import Api, Parameters, raise_for_permanent_error


class TooManyRows(UsageError):
    """One bucket has more rows than the API reads for one answer."""


def documents(api: Api, path: str, parameters: Parameters) -> Iterator[dict[str, Any]]:
    """Every page, with exact numbers. Raises UsageError for a 400 and IotpipeError for any other error."""
    token: dict[str, str] = {}
    while True:
        response = api.get(path, {**parameters, **token})
        if response.status != 200:
            raise_for_permanent_error(response)
            if response.status == 400:
                details = response.details()
                said = "; ".join(f"{each.get('field')}: {each.get('message')}" for each in details)
                kind = TooManyRows if any(each.get("code") == "too_many_rows" for each in details) else UsageError
                raise kind(f"the API rejects the query: {said or response.summary()}")
            raise IotpipeError(f"the query failed: {response.summary()}", "Run `iotpipe logs` for the reason")
        document = exact_json.loads(response.body)
        yield document
        if "next_token" not in document:
            return
        token = {"next_token": document["next_token"]}
