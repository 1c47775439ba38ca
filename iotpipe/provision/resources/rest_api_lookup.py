"""Finds REST APIs by their recorded id, their name and their tags."""

from __future__ import annotations

from typing import Any

from iotpipe.provision.resource import Recorded
from iotpipe.provision.run import ENVIRONMENT_TAG, Run


def recorded_api(run: Run, recorded: Recorded) -> dict[str, Any] | None:
    """The API of a row: by its id, or by name and tags where the command died before the id was recorded."""
    identifier = recorded.properties.get("RestApiId")
    return get_api(run, identifier) if identifier else find_api(run, recorded.name)


def get_api(run: Run, identifier: str) -> dict[str, Any] | None:
    """The API with this id; None where there is none."""
    api = run.client("apigateway")
    try:
        found: dict[str, Any] = api.get_rest_api(restApiId=identifier)
    except api.exceptions.NotFoundException:
        return None
    return found


def find_api(run: Run, name: str, recorded: str | None = None) -> dict[str, Any] | None:
    """The API with the recorded id, or one with the name and the tags of the environment."""
    every = apis(run)
    there = next((each for each in every if each["id"] == recorded), None)
    owned = [each for each in every if each["name"] == name and belongs_to_environment(run, each)]
    # A state file that was copied or edited may have the id of another environment's.
    if there and (not owned or there.get("tags", {}).get(ENVIRONMENT_TAG) in (None, run.environment)):
        return there
    # The oldest: where two machines created one each at the same time, both continue with the same.
    return min(owned, key=lambda each: (str(each.get("createdDate", "")), each["id"]), default=there)


def apis_without_owner(run: Run, name: str) -> list[dict[str, Any]]:
    """The APIs of that name without the tags of any environment, the oldest first."""
    found = [each for each in apis(run) if each["name"] == name and ENVIRONMENT_TAG not in each.get("tags", {})]
    return sorted(found, key=lambda each: (str(each.get("createdDate", "")), each["id"]))


def apis(run: Run) -> list[dict[str, Any]]:
    """Every REST API of the region, listed once per command."""
    return run.once("APIs", lambda: _list_apis(run))


def _list_apis(run: Run) -> list[dict[str, Any]]:
    pages = run.client("apigateway").get_paginator("get_rest_apis").paginate(PaginationConfig={"PageSize": 500})
    return [each for page in pages for each in page["items"]]


def belongs_to_environment(run: Run, api: dict[str, Any]) -> bool:
    """Whether the API, or the stage, has the tags of the environment."""
    return bool(run.owner_tags.items() <= api.get("tags", {}).items())
