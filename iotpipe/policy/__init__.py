"""What whoever runs iotpipe on one environment has to be allowed, and nothing else."""

from iotpipe.policy.documents import INLINE, MANAGED, Environment, Policy, document, parts, size
from iotpipe.provision.rights import GROUPS

__all__ = ["GROUPS", "INLINE", "MANAGED", "Environment", "Policy", "document", "parts", "size"]
