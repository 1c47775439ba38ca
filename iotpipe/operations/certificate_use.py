"""Whether a device has sent something with a certificate, by the log of the ingestion function."""

from __future__ import annotations

from iotpipe.names import Names
from iotpipe.operations.logs import LogReader
from iotpipe.provision.run import Run

_DIGITS = 12
"""So many digits of a certificate's id are in the log."""


def was_used(run: Run, suffix: str, certificate_id: str, since: int) -> bool:
    """Whether a message came with the certificate after `since` (epoch milliseconds). Raises ResourceError."""
    shown = certificate_id[:_DIGITS]
    events = LogReader(run, "ingestion", Names(suffix).log_group("ingestion"), since, phrase=shown).new()
    return any(shown in (line.get("certificates") or ()) for event in events if (line := event.document()))
