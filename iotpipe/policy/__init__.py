"""The least-privilege IAM policy for running iotpipe on one environment."""

from iotpipe.policy.documents import INLINE, MANAGED, Environment, Policy, document, parts, size
from iotpipe.provision.rights import GROUPS

__all__ = ["GROUPS", "INLINE", "MANAGED", "Environment", "Policy", "document", "parts", "size"]
