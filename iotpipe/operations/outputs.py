"""The outputs of an environment that is up: endpoint, names and ARNs, all from what the ledger records."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from iotpipe.errors import UsageError
from iotpipe.local import engine_directory
from iotpipe.names import Names, recorded_suffix
from iotpipe.provision.aws import host, partition
from iotpipe.provision.ledger import Contents, Row


def outputs(account: str, region: str, rows: Mapping[str, Row], local: str = "") -> dict[str, str]:
    """The outputs by name; one whose resource is not there (yet) is left out.

    `local` is the address of the embedded AWS, where the environment is in one.
    """
    made = {address: row for address, row in rows.items() if row.status != "creating"}
    names = Names(recorded_suffix(made.values()))
    api = made.get(f"rest-api/{names.rest_api}")
    stage = next((row for row in made.values() if row.kind == "stage" and api and row.inside == api.address), None)
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
        if address in made:
            found[output] = value
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
        f"`iotpipe up --env {name}` brings it up, or records again what already exists",
    )


def _api(api: str, stage: str, region: str, local: str) -> str:
    if local:
        return f"{local}/_aws/execute-api/{api}/{stage}"
    return f"https://{host(api + '.execute-api', region)}/{stage}"
