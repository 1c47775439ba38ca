"""What others added to the resources of an environment: one file per AWS service, as in `resources`."""

from __future__ import annotations

from collections.abc import Mapping

from iotpipe.provision.foreign.finding import RISKS, Check, Foreign, Seen, answer

__all__ = ["CHECKS", "RISKS", "Check", "Foreign", "Seen", "answer"]

CHECKS: Mapping[str, Check] = {}
"""By kind of resource."""
