"""What iotpipe does about each error that AWS has answered, and that it stays so: `verdicts.tsv`.

The verdicts are `retried N s` (by the retry table, for so long), `absent` (what was asked about or to be deleted is not
there), `exists` (it is there already, and looked at again), `handled` (the code that calls copes with it), `final` (the
command fails and tells it) and, for the calls of the handlers, `again` and `refused`. After a change that is meant,

    python -m tests.recorded.test_recorded_errors > tests/recorded/verdicts.tsv

writes the file anew.
"""

from __future__ import annotations

import itertools
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

if __name__ == "__main__":
    import tests.conftest  # noqa: F401 - credentials that are nobody's, and a moto without its gaps

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from iotpipe.errors import IotpipeError
from iotpipe.handlers import aws as handlers
from iotpipe.provision.error_advice import describe
from iotpipe.provision.retry_rules import ALREADY_EXISTS, rule_for
from tests.recorded.test_recorded_answers import READ_BY
from tests.support.recorded import replaying as scenes
from tests.support.recorded.recordings import DIRECTORY, Recording, errors
from tests.support.recorded.replaying import Scene, on_stage

OF_HANDLERS = {("dynamodb", "BatchWriteItem"), ("sns", "Publish")}
ALSO: Mapping[tuple[str, str], Sequence[tuple[str, Scene]]] = {
    ("cloudwatch", "PutDashboard"): [("dashboard", scenes.made_from_nothing)],
    ("lambda", "DeleteEventSourceMapping"): [("event-source-mapping", scenes.deleted_alone)],
    ("sqs", "ChangeMessageVisibilityBatch"): [("queue", scenes.dead_letters_seen)],
    ("sqs", "DeleteMessageBatch"): [("queue", scenes.dead_letters_moved_by_hand)],
    ("sqs", "PurgeQueue"): [("queue", scenes.dead_letters_purged)],
    ("sqs", "StartMessageMoveTask"): [("queue", scenes.dead_letters_moved_by_sqs)],
}
"""Calls of which only errors are recorded, whose answers are read elsewhere, or that are waited for afterwards."""

BY_OPERATION = {key: list(each) for key, each in itertools.groupby(errors(), lambda e: (e.service, e.operation))}


def verdict(recording: Recording, directory: Path) -> str:
    """What iotpipe does about it, found out by letting AWS answer every such call so."""
    error = ClientError(recording.parsed(), recording.operation)  # type: ignore[arg-type] # what botocore reads
    if (recording.service, recording.operation) in OF_HANDLERS:
        return "again" if handlers.is_transient(error) else "refused"
    if rule := rule_for(error):
        return "exists" if rule.schedule is ALREADY_EXISTS else f"retried {rule.schedule.budget:.0f} s"
    key = recording.service, recording.operation
    return _played(recording, (READ_BY | ALSO)[key], directory)


def _played(recording: Recording, played: Sequence[tuple[str, Scene]], directory: Path) -> str:
    """By each of the scenes: where several commands read it, one may go on and another may not."""
    return " or ".join(dict.fromkeys(_borne(recording, kind, scene, directory) for kind, scene in played))


def _borne(recording: Recording, kind: str, scene: Scene, directory: Path) -> str:
    world, _ = on_stage(kind, directory)
    world.recording, world.always = recording, True
    try:
        scene(world, kind)
    except IotpipeError as failure:
        assert recording.code in str(failure) or "there is no queue" in str(failure)
        assert not str(failure).endswith((": ", ":")), failure
        return "final"
    assert world.replayed + world.renewed, "nobody asked for it"
    return "absent" if re.search("NotFound|NonExistent|NoSuch", recording.code) else "handled"


def lines(service: str, operation: str, directory: Path) -> list[str]:
    """The verdicts on the errors of one operation. What has the same code fares the same, but for the retry table."""
    found: dict[tuple[str, bool], str] = {}
    made = []
    for each in BY_OPERATION[service, operation]:
        error = ClientError(each.parsed(), operation)  # type: ignore[arg-type] # what botocore reads
        key = each.code, rule_for(error) is not None
        if key not in found or key[1]:
            found[key] = verdict(each, directory)
        message = " ".join(each.message.split())[:100]
        made.append("\t".join((service, operation, each.code, found[key], message)).rstrip())
    return made


VERDICTS = (DIRECTORY / "verdicts.tsv").read_text().splitlines() if (DIRECTORY / "verdicts.tsv").exists() else []


@pytest.mark.parametrize(("service", "operation"), BY_OPERATION)
def test_what_is_done_about_an_error_stays_as_it_is_written_down(service: str, operation: str, tmp_path: Path) -> None:
    written = [each for each in VERDICTS if each.split("\t")[:2] == [service, operation]]
    assert lines(service, operation, tmp_path) == written


def test_every_error_has_its_verdict() -> None:
    assert len(VERDICTS) == len(errors()) == sum(map(len, BY_OPERATION.values()))


@pytest.mark.parametrize("recording", errors(), ids=lambda each: each.id)
def test_an_error_is_told_by_its_code_and_what_aws_says_of_it(recording: Recording) -> None:
    error = ClientError(recording.parsed(), recording.operation)  # type: ignore[arg-type] # what botocore reads
    text = describe(error)
    if recording.message:
        assert text.startswith(f"{recording.code}: ")
    else:
        assert text == recording.code, "no colon where AWS says nothing more"


if __name__ == "__main__":
    with mock_aws(), tempfile.TemporaryDirectory() as place:
        for key in BY_OPERATION:
            print("\n".join(lines(*key, Path(place))))
