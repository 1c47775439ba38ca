"""What whoever runs iotpipe on one environment has to be allowed, and nothing else."""

from iotpipe.policy.document import Environment, Policy, document, requests
from iotpipe.policy.rights import GROUPS

__all__ = ["GROUPS", "Environment", "Policy", "document", "requests"]
