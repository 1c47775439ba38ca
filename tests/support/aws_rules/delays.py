"""How late AWS is on a common day, on a bad one, and never; and how much an account may have at once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Delays:
    """What AWS takes its time for, in seconds. The defaults are what is commonly seen; AWS promises none of them."""

    latency: float = 0.2
    unseen: float = 0.0
    """Until reads find what was just made (eventual consistency)."""
    unwritable: float = 0.0
    """Until writes find it, which may ask another host."""
    role: float = 8.0
    """Until another service can assume a new role."""
    policy: float = 8.0
    """Until a new or changed inline policy is effective."""
    grant: float = 8.0
    """Until KMS knows the new role, to which Lambda grants the key of the environment variables."""
    policies_gone: float = 0.0
    """Until DeleteRole sees that the last policy is off."""
    pending: float = 2.0
    """A new function is Pending."""
    updating: float = 1.5
    """A changed function is InProgress."""
    layer: float = 0.0
    """Until a new layer version is found."""
    mapping: float = 8.0
    """An event source mapping is Creating or Updating."""
    mapping_gone: float = 15.0
    """It is Deleting."""
    queue_attributes: float = 5.0
    """Until Lambda sees a queue's new attributes; AWS says up to 60."""
    queue_tags: float = 0.0
    """Until SQS shows a queue's tags; up to 60."""
    queue_gone: float = 0.0
    """For how long a deleted queue still answers; AWS says up to 60."""
    queue_usable: float = 1.0
    """AWS: wait one second before using a new queue."""
    table_creating: float = 7.0
    table_updating: float = 3.0
    table_deleting: float = 5.0
    backups: float = 4.0
    """After ACTIVE until point-in-time recovery can be switched on: 3 to 6 s measured."""
    backups_unseen: float = 0.0
    """After ACTIVE until the backup service finds the table at all."""
    account: float = 0.5
    """Until stages see the account's logging role."""
    api_changing: float = 0.0
    """A REST API is UPDATING."""
    api_tags: float = 0.0
    """Until the rights count that depend on a new API's tags."""
    stale_tags: float = 0.0
    """For how long SNS remembers the tags of a deleted topic."""
    policy_detached: float = 0.0
    """Until AWS IoT deletes a policy after it was detached; it says up to five minutes."""
    late_logs: float = 2.0
    """After which the last logs of what was deleted are delivered."""


# Whatever may be late is, by more than usual: what stands this stands the common case.
HARSH = Delays(
    unseen=0.7,
    unwritable=1.1,
    role=12,
    grant=13,
    policy=17,
    policies_gone=1,
    pending=5,
    updating=4,
    layer=1,
    mapping=20,
    mapping_gone=40,
    queue_attributes=50,
    queue_tags=45,
    queue_gone=30,
    table_creating=20,
    table_updating=8,
    table_deleting=15,
    backups=6,
    backups_unseen=1,
    account=2,
    api_changing=3,
    api_tags=4,
    stale_tags=5,
    policy_detached=240,
)

PROMPT = Delays(
    **{name: 0.0 for name in Delays.__dataclass_fields__ if name not in ("latency", "late_logs")}  # type: ignore[arg-type]
)
"""Never late, but with every rule: here, what is done in the right order is refused nothing."""


@dataclass(frozen=True)
class Limits:
    """What an account may have at once."""

    concurrency: int = 1000
    unreserved: int = 100
    """How much of it must stay unreserved."""
    tables_changing: int = 500


COMMON = Limits()
