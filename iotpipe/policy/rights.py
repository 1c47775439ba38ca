"""The rights that belong to no kind of resource; each kind declares its own as `rights`.

Every identity may call sts:GetCallerIdentity: no right is needed for it.
"""

from __future__ import annotations

from iotpipe.provision.resources.ssm_parameters import PARAMETER_ARN
from iotpipe.provision.rights import Right, regional_arn

DOCTOR = (
    # Of whoever gets the policy, and of the role with which the account's APIs log. Only users have a name to put here.
    Right(
        "Examine",
        "iam",
        ("arn:{partition}:iam::{account}:role/*", "arn:{partition}:iam::{account}:user/${{aws:username}}"),
        plan="SimulatePrincipalPolicy GetRole",
    ),
)
"""What `doctor` reads before anything is created."""

API_KEY = Right("ApiKey", "ssm", PARAMETER_ARN, operate="GetParameter")
"""To read the secret where the API only accepts readings with the key in a header."""

DEVICE_LOG = Right(
    "DeviceLog",
    "logs",
    tuple(regional_arn("logs", f"log-group:/aws/lambda/{{function}}{streams}") for streams in ("", ":*")),
    up="FilterLogEvents",
    devices="FilterLogEvents",
)
"""To look into the log of the function that reads the devices' queue: `up` for the test message of a new topic rule,
`device rotate` for the first message with a new certificate."""
