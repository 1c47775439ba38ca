"""Outputs of a deployed environment: endpoint, names and ARNs, all computed from the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from iotpipe.errors import UsageError
from iotpipe.local import engine_directory
from iotpipe.names import Names, recorded_suffix
from iotpipe.provision.aws import host, partition
from iotpipe.provision.ledger import Contents, Row


def outputs(account: str, region: str, rows: Mapping[str, Row], local: str = "") -> dict[str, str]:
    """The outputs by name; outputs of resources that do not exist (yet) are left out.

    `local` is the URL of the embedded AWS; empty for AWS itself.
    """
    created = {address: row for address, row in rows.items() if row.status != "creating"}
    names = Names(recorded_suffix(created.values()))
    api = created.get(f"rest-api/{names.rest_api}")
    stage = next((row for row in created.values() if row.kind == "stage" and api and row.inside == api.address), None)
    found = {}
    if api and stage and "RestApiId" in api.properties:
        found["ApiEndpoint"] = _api(api.properties["RestApiId"], stage.name, region, local)
    queues = local or f"https://{host('sqs', region)}"
    for output, address, value in (
        ("RawSensorTableName", f"table/{names.raw_table}", names.raw_table),
        ("ProcessedDataTableName", f"table/{names.processed_table}", names.processed_table),
        ("IngestionQueueUrl", f"queue/{names.reading_queue}", f"{queues}/{account}/{names.reading_queue}"),
        ("AlertTopicArn", f"topic/{names.topic}", f"arn:{partition(region)}:sns:{region}:{account}:{names.topic}"),
    ):
        if address in created:
            found[output] = value
    return found


def recorded(contents: Contents, state_dir: Path) -> dict[str, str]:
    """The outputs recorded in a state file of the directory `state_dir`.

    The account number tells whether it is an embedded AWS, whose URL is recorded in the same directory.
    """
    engine = engine_directory.at(state_dir).record() if contents.account == engine_directory.ACCOUNT else None
    return outputs(contents.account, contents.region, contents.rows, engine.endpoint if engine else "")


def nothing_recorded(name: str) -> UsageError:
    """The error for an environment without recorded resources. AWS is not asked whether it is up."""
    return UsageError(
        f"{name} is not up, or its state file was lost",
        f"Run `iotpipe up --env {name}`: it creates the environment, or records again what already exists",
    )


def _api(api: str, stage: str, region: str, local: str) -> str:
    if local:
        return f"{local}/_aws/execute-api/{api}/{stage}"
    return f"https://{host(api + '.execute-api', region)}/{stage}"
