"""Finds the stages of a REST API."""

from __future__ import annotations

from typing import Any

from iotpipe.provision.resource import Recorded
from iotpipe.provision.run import Run


def known_stages(run: Run, api: str) -> dict[str, dict[str, Any]]:
    """The stages of the API by name, asked for once per command."""
    return run.once(f"stages of {api}", lambda: stages(run, api))


def stages(run: Run, api: str) -> dict[str, dict[str, Any]]:
    """The stages of the API by name, as they are now."""
    return {each["stageName"]: each for each in run.client("apigateway").get_stages(restApiId=api).get("item", [])}


def get_stage(run: Run, recorded: Recorded) -> dict[str, Any] | None:
    """The stage of a row as it is now; None where there is none."""
    api = run.client("apigateway")
    try:
        found: dict[str, Any] = api.get_stage(restApiId=recorded.properties["RestApiId"], stageName=recorded.name)
    except api.exceptions.NotFoundException:
        return None
    return found
