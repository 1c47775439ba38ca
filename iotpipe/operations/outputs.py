"""The outputs of an environment that is up: endpoint, names and ARNs, all from what the ledger records."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from iotpipe.errors import UsageError
from iotpipe.local import engine_directory
from iotpipe.provision.aws import host, partition
from iotpipe.provision.ledger import Contents, Row


def outputs(account: str, region: str, rows: Mapping[str, Row], local: str = "") -> dict[str, str]:
    """The outputs by name; one whose resource is not there (yet) is left out.

    `local` is the address of the embedded AWS, where the environment is in one.
    """
    made = {address: row for address, row in rows.items() if row.status != "creating"}
    suffix = _suffix(made)
    api = made.get(f"rest-api/{_API}{suffix}")
    stage = next((row for row in made.values() if row.kind == "stage" and api and row.inside == api.address), None)
    found = {}
    if api and stage and "RestApiId" in api.properties:
        found["ApiEndpoint"] = _api(api.properties["RestApiId"], stage.name, region, local)
    for output, kind, base, form in _NAMED:
        if row := made.get(f"{kind}/{base}-{suffix}"):
            arn = f"arn:{partition(region)}:sns:{region}:{account}:{row.name}"
            url = f"{local or 'https://' + host('sqs', region)}/{account}/{row.name}"
            found[output] = form.format(name=row.name, arn=arn, url=url)
    return found


def recorded(contents: Contents, state_dir: Path) -> dict[str, str]:
    """The outputs of a state file, which is in `state_dir`.

    That it describes an embedded AWS, its account says; at what address, what is recorded of that beside it.
    """
    engine = engine_directory.at(state_dir).record() if contents.account == engine_directory.ACCOUNT else None
    return outputs(contents.account, contents.region, contents.rows, engine.endpoint if engine else "")


def nothing_recorded(name: str) -> UsageError:
    """What is said where the state file records nothing of an environment, without asking AWS whether it is up."""
    return UsageError(
        f"{name} is not up, or its state file was lost",
        f"`iotpipe up --env {name}` brings it up, and records again what is there already",
    )


def _api(api: str, stage: str, region: str, local: str) -> str:
    if local:
        return f"{local}/_aws/execute-api/{api}/{stage}"
    return f"https://{host(api + '.execute-api', region)}/{stage}"


_NAMED = (
    ("RawSensorTableName", "table", "raw-sensor-data", "{name}"),
    ("ProcessedDataTableName", "table", "processed-data", "{name}"),
    ("IngestionQueueUrl", "queue", "iot-ingestion-queue", "{url}"),
    ("AlertTopicArn", "topic", "iot-alerts", "{arn}"),
)


_API = "iot-api-"
_TELLING = (
    ("rest-api", _API),
    *(("function", f"data-{each}-") for each in ("ingestion", "processor", "query")),
    *((kind, f"{base}-") for _, kind, base, _ in _NAMED),
)
"""Whose names tell the suffix, the most telling first: tables of an earlier suffix are kept."""


def _suffix(made: Mapping[str, Row]) -> str:
    """The suffix that the environment has now, according to its newest API; empty where nothing tells it."""
    for kind, prefix in _TELLING:
        if named := [row for row in made.values() if row.kind == kind and row.name.startswith(prefix)]:
            newest = max(named, key=lambda row: (row.status != "deleting", row.created_at))
            return newest.name.removeprefix(prefix)
    return ""
