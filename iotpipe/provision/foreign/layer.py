"""What others added to a Lambda layer."""

from __future__ import annotations

import json
from collections.abc import Iterable

from iotpipe.provision.foreign.finding import ALTERS, OPENS, Check, Foreign, Seen
from iotpipe.provision.foreign.lambda_calls import removing
from iotpipe.provision.foreign.statements import actions, condition, who
from iotpipe.provision.resource import Properties
from iotpipe.provision.resources.layer import Layer, layer_versions, published_by_iotpipe
from iotpipe.provision.run import Run


def layer_policy(run: Run, layer: Layer) -> Properties:
    """The policy of the version that iotpipe published, with its number."""
    arn = (run.look(layer) or {}).get("LayerVersionArn")
    if arn is None:
        return {}
    client, number = run.client("lambda"), int(arn.rpartition(":")[2])
    try:
        policy = client.get_layer_version_policy(LayerName=layer.name, VersionNumber=number)["Policy"]
    except client.exceptions.ResourceNotFoundException:
        return {}
    return {"Version": number, "Statement": json.loads(policy)["Statement"]}


def _of_layer(seen: Seen) -> Iterable[Foreign]:
    run, layer = seen.run, seen.resource
    for each in layer_versions(run, layer):
        if not published_by_iotpipe(each):
            number = each["Version"]
            which = {"LayerName": layer.name, "VersionNumber": number}
            found = f"version {number} of {layer.name} is not iotpipe's: {each.get('Description') or 'no description'}"
            yield seen.foreign(f"version {number}", ALTERS, found, removing(run, "delete_layer_version", **which))
    shared = seen.read(layer_policy)
    for statement in shared.get("Statement", ()):
        which = {"LayerName": layer.name, "VersionNumber": shared["Version"], "StatementId": statement["Sid"]}
        found = (
            f"{who(statement)} can read version {shared['Version']} of {layer.name}: the statement {statement['Sid']} "
            f"of its policy allows {actions(statement)}{condition(statement)}"
        )
        remove = removing(run, "remove_layer_version_permission", **which)
        yield seen.foreign(f"statement {statement['Sid']}", OPENS, found, remove)


# Where iotpipe has published no version yet, others may have.
CHECK = Check(_of_layer, (layer_policy,), absent=True)
