"""The log group that API Gateway itself writes for a stage.

API Gateway creates the group where it is missing, without a retention, and leaves it behind when the stage is deleted.
"""

from __future__ import annotations

from iotpipe.provision.resource import Properties
from iotpipe.provision.resources.log_group import encrypt_log_group, make_log_group
from iotpipe.provision.run import Run


def execution_logs(api: str) -> str:
    """The prefix of the names of the API's execution log groups, one per stage."""
    return f"API-Gateway-Execution-Logs_{api}/"


def desired_execution_log_group(retention: int, kms_key: str | None, recorded: Properties) -> Properties:
    """The settings that the group should have; `recorded` holds those that iotpipe last set."""
    wanted: Properties = {"retentionInDays": retention}
    if kms_key:
        return wanted | {"kmsKeyId": kms_key}
    return wanted | ({"kmsKeyId": ""} if recorded.get("kmsKeyId") else {})


def declared_settings(found: Properties, desired: Properties, recorded: Properties) -> Properties:
    """Of the group as CloudWatch Logs describes it: the settings that are desired."""
    # A key that is gone is absent from the description; only where iotpipe had set one does that count.
    live = {key: "" for key in ("kmsKeyId",) if key in recorded} | found
    return {key: live[key] for key in desired if key in live}


def set_up_execution_log_group(run: Run, name: str, wanted: Properties, live: Properties | None) -> None:
    """Create the group if there is none, and give it the wanted retention and key."""
    if live is None:
        make_log_group(run, name)
        live = {}
    if wanted["retentionInDays"] != live.get("retentionInDays"):
        run.client("logs").put_retention_policy(logGroupName=name, retentionInDays=wanted["retentionInDays"])
    if wanted.get("kmsKeyId", "") != live.get("kmsKeyId", ""):
        encrypt_log_group(run, name, wanted.get("kmsKeyId", ""))
