"""What others added to a Lambda layer."""

from __future__ import annotations

import json
from collections.abc import Iterable

from iotpipe.provision.foreign.finding import ALTERS, OPENS, Check, CheckedResource, Foreign
from iotpipe.provision.foreign.lambda_calls import removal
from iotpipe.provision.foreign.statements import actions, condition, principal_names
from iotpipe.provision.resource import Properties
from iotpipe.provision.resources.layer import Layer, layer_versions, published_by_iotpipe
from iotpipe.provision.run import Run


def layer_policy(run: Run, layer: Layer) -> Properties:
    """Return the policy of the version that iotpipe published, and the version number."""
    arn = (run.look(layer) or {}).get("LayerVersionArn")
    if arn is None:
        return {}
    client, number = run.client("lambda"), int(arn.rpartition(":")[2])
    try:
        policy = client.get_layer_version_policy(LayerName=layer.name, VersionNumber=number)["Policy"]
    except client.exceptions.ResourceNotFoundException:
        return {}
    return {"Version": number, "Statement": json.loads(policy)["Statement"]}


def _check(checked: CheckedResource) -> Iterable[Foreign]:
    run, layer = checked.run, checked.resource
    for each in layer_versions(run, layer):
        if not published_by_iotpipe(each):
            number = each["Version"]
            which = {"LayerName": layer.name, "VersionNumber": number}
            text = f"version {number} of {layer.name} is not iotpipe's: {each.get('Description') or 'no description'}"
            yield checked.finding(f"version {number}", ALTERS, text, removal(run, "delete_layer_version", **which))
    shared = checked.read(layer_policy)
    for statement in shared.get("Statement", ()):
        which = {"LayerName": layer.name, "VersionNumber": shared["Version"], "StatementId": statement["Sid"]}
        text = (
            f"{principal_names(statement)} can read version {shared['Version']} of {layer.name}: "
            f"the statement {statement['Sid']} of its policy allows {actions(statement)}{condition(statement)}"
        )
        remove = removal(run, "remove_layer_version_permission", **which)
        yield checked.finding(f"statement {statement['Sid']}", OPENS, text, remove)


# Others may have published versions before iotpipe did.
CHECK = Check(_check, (layer_policy,), absent=True)
