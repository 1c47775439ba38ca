"""The paths of a REST API."""

from __future__ import annotations

from typing import Any

from iotpipe.provision.run import Run


def known_paths(run: Run, api: str) -> dict[str, dict[str, Any]]:
    """The paths of the API with their methods and integrations, asked for once per command."""
    return run.once("paths of the API", lambda: paths(run, api))


def paths(run: Run, api: str) -> dict[str, dict[str, Any]]:
    """The paths of the API with their methods and integrations, as they are now."""
    pages = (
        run.client("apigateway")
        .get_paginator("get_resources")
        .paginate(restApiId=api, embed=["methods"], PaginationConfig={"PageSize": 500})
    )
    return {each["path"]: each for page in pages for each in page["items"]}
