"""The state file: written atomically, bound to its account, and without secrets."""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iotpipe.errors import (
    ApplyFailed,
    LedgerCorrupt,
    LedgerError,
    LedgerOfAnotherAccount,
    LedgerTooNew,
)
from iotpipe.provision import ledger as ledgers
from iotpipe.provision.ledger import Ledger, Row, path_of, read, with_state
from iotpipe.provision.resource import everything
from iotpipe.provision.resources.queue import Queue
from iotpipe.provision.resources.secret import Secret
from tests.support.engine_world import declared, refusal
from tests.support.manual_edits import client
from tests.support.resource_contract import Killed, QuickWorld, kill, on_write
from tests.support.samples.every_kind import SAMPLES
from tests.support.samples.sample import OURS

NOW = 1_800_000_000.0
ROW = Row("queue", "q", "ready", {"VisibilityTimeout": "30"}, needs=("queue/dlq",))


def opened(directory: Path, environment: str = "dev", account: str = "1", now: float = NOW) -> Ledger:
    return Ledger(path_of(directory, environment), environment, account, "us-east-1", lambda: now)


def row(name: str, **changes: Any) -> Row:
    return replace(ROW, name=name, **changes)


# Contents


def test_what_was_recorded_is_read_again(tmp_path: Path) -> None:
    book = opened(tmp_path)
    book.record(ROW)
    book.record(row("api", kind="stage", inside="rest-api/a", status="updating"))
    again = opened(tmp_path)
    assert again.rows == book.rows
    assert again.rows["queue/q"].recorded().properties == {"VisibilityTimeout": "30"}


def test_the_first_time_and_the_last_are_kept(tmp_path: Path) -> None:
    opened(tmp_path, now=NOW).record(ROW)
    opened(tmp_path, now=NOW + 90).record(ROW)
    found = opened(tmp_path).rows["queue/q"]
    assert (found.created_at, found.updated_at) == ("2027-01-15T08:00:00Z", "2027-01-15T08:01:30Z")


def test_it_is_json_that_a_person_can_read_and_is_the_same_for_the_same_rows(tmp_path: Path) -> None:
    forth, back = tmp_path / "forth", tmp_path / "back"
    for directory, names in ((forth, "abc"), (back, "cba")):
        directory.mkdir()
        book = opened(directory)
        for name in names:
            book.record(row(name))
    text = (forth / "dev.json").read_text()
    assert text == (back / "dev.json").read_text()
    assert json.loads(text)["resources"]["queue/a"]["status"] == "ready"
    assert text.endswith("\n") and all(len(line) < 200 for line in text.splitlines())


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        opened(tmp_path).record(ROW)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "dev.json").stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["dev.json"]


def test_a_ledger_of_nothing_is_no_file(tmp_path: Path) -> None:
    book = opened(tmp_path)
    assert not list(tmp_path.iterdir())
    book.record(ROW)
    book.forget(["queue/q"])
    assert not list(tmp_path.iterdir())
    assert opened(tmp_path).rows == {}


def test_protection_is_noted_and_outlives_the_declaration(tmp_path: Path) -> None:
    book = opened(tmp_path)
    book.record(ROW)
    book.protect(True)
    assert opened(tmp_path).protected
    opened(tmp_path).protect(False)
    assert not opened(tmp_path).protected


@pytest.mark.matrix
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.text(min_size=1),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=8,
        ),
        max_size=4,
    )
)
def test_any_properties_survive(tmp_path: Path, properties: dict[str, Any]) -> None:
    opened(tmp_path).record(row("any", properties=properties))
    assert opened(tmp_path).rows["queue/any"].properties == properties


# Names that AWS reserves after a deletion


def test_when_a_name_was_given_up_is_remembered_as_long_as_aws_keeps_it_back(tmp_path: Path) -> None:
    book = opened(tmp_path)
    book.record(ROW)
    book.record(row("other"))
    book.forget(["queue/q"], kept_back=["queue/q"])
    assert opened(tmp_path).deleted == {"queue/q": "2027-01-15T08:00:00Z"}
    opened(tmp_path, now=NOW + 59).record(row("other"))
    assert "queue/q" in opened(tmp_path).deleted
    opened(tmp_path, now=NOW + 61).record(row("other"))
    assert opened(tmp_path).deleted == {}


def test_a_name_that_is_in_use_again_is_not_kept_back(tmp_path: Path) -> None:
    book = opened(tmp_path)
    book.record(ROW)
    book.forget(["queue/q"], kept_back=["queue/q"])
    assert (tmp_path / "dev.json").exists(), "the note alone is worth a file"
    book.record(replace(ROW, status="creating"))
    assert "queue/q" in opened(tmp_path).deleted, "creating is not yet in use"
    book.record(ROW)
    assert opened(tmp_path).deleted == {}


# Durability


def test_a_row_is_on_the_disk_when_record_returns_however_many_threads_write(tmp_path: Path) -> None:
    book = opened(tmp_path)
    missing: list[str] = []
    gate = threading.Barrier(12)

    def work(number: int) -> None:
        gate.wait(timeout=30)
        for step in range(4):
            mine = row(f"{number}-{step}")
            book.record(mine)
            contents = read(tmp_path / "dev.json")
            if contents is None or mine.address not in contents.rows:
                missing.append(mine.address)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not missing
    assert len(opened(tmp_path).rows) == 48


def test_threads_that_record_at_once_share_their_writes_to_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[str] = []
    first_writes, others_wait = threading.Event(), threading.Event()
    really = ledgers.write_atomically

    def slowly(path: Path, text: str) -> None:
        first_writes.set()
        assert others_wait.wait(timeout=30)
        writes.append(text)
        really(path, text)

    monkeypatch.setattr(ledgers, "write_atomically", slowly)
    book = opened(tmp_path)
    threads = [threading.Thread(target=book.record, args=(row(str(number)),)) for number in range(10)]
    threads[0].start()
    assert first_writes.wait(timeout=30)
    for each in threads[1:]:
        each.start()
    while len(book.rows) < 10:
        threading.Event().wait(0.001)
    others_wait.set()
    for each in threads:
        each.join()
    assert len(writes) == 2, "one for the first, one for all that came meanwhile"
    assert len(opened(tmp_path).rows) == 10


@pytest.mark.parametrize("step", ["mkstemp", "fsync", "replace"])
def test_a_kill_at_any_step_of_a_write_leaves_the_old_file(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*args: Any, **kwargs: Any) -> None:
        raise Killed

    opened(tmp_path).record(ROW)
    before = (tmp_path / "dev.json").read_bytes()
    book = opened(tmp_path)
    monkeypatch.setattr(f"iotpipe.files.{'tempfile' if step == 'mkstemp' else 'os'}.{step}", die)
    with pytest.raises(Killed):
        book.record(row("new"))
    assert (tmp_path / "dev.json").read_bytes() == before


def test_the_text_is_flushed_to_the_disk_before_it_takes_the_old_ones_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []

    def noting(name: str, really: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            steps.append(name)
            return really(*args)

        return call

    for name in ("fsync", "replace"):
        monkeypatch.setattr(ledgers.os, name, noting(name, getattr(os, name)))
    opened(tmp_path).record(ROW)
    assert steps == ["fsync", "replace"]


@pytest.mark.parametrize("there", [True, False], ids=["there", "dangling"])
def test_a_state_file_that_is_a_link_is_written_where_it_leads(there: bool, tmp_path: Path) -> None:
    kept, link = tmp_path / "kept", tmp_path / "state" / "dev.json"
    for directory in (kept, link.parent):
        directory.mkdir()
    if there:
        opened(kept).record(row("before"))
    link.symlink_to(Path("..", "kept", "dev.json"))
    opened(link.parent).record(ROW)
    assert link.is_symlink()
    assert set(opened(kept).rows) == ({"queue/before", "queue/q"} if there else {"queue/q"})
    assert [each.name for each in kept.iterdir()] == ["dev.json"], "and nothing is left beside it"
    book = opened(link.parent)
    book.forget(list(book.rows))
    assert link.is_symlink() and not list(kept.iterdir())


def test_a_full_disk_is_an_error_of_ours_and_nothing_is_created(
    world: QuickWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ledgers.os, "fsync", full)
    with pytest.raises(ApplyFailed) as failed:
        world.up([Queue("q", retention=60)])
    assert isinstance(failed.value.failed[0], LedgerError)
    assert "No space left" in str(failed.value) and str(world.path) in str(failed.value)
    assert not world.writes, "what cannot be recorded is not made"
    assert not list(world.directory.iterdir())


# Rejected files


STORED = asdict(ROW) | {"created_at": "2027-01-15T08:00:00Z", "updated_at": "2027-01-15T08:00:00Z"}


def whole(**changes: Any) -> dict[str, Any]:
    good = {
        "format": 1,
        "environment": "dev",
        "account": "1",
        "region": "us-east-1",
        "protected": False,
        "resources": {"queue/q": STORED},
        "deleted": {},
    }
    return good | changes


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in whole().items() if name != key}


def damaged(**changes: Any) -> dict[str, Any]:
    return whole(resources={"queue/q": STORED | changes})


def bare(key: str) -> dict[str, Any]:
    return whole(resources={"queue/q": {name: value for name, value in STORED.items() if name != key}})


CORRUPT: dict[str, Any] = {
    "empty": "",
    "cut off": json.dumps(whole())[:100],
    "not JSON": "resources: []",
    "not text": b"\xff\xfe\x00",
    "a list": [],
    "a number": 1,
    "null": None,
    "nested without end": "[" * 100_000,
    "no format": without("format"),
    "format as text": whole(format="1"),
    "format as truth": whole(format=True),
    "a format that never was": whole(format=0),
    "no resources": without("resources"),
    "no deletions": without("deleted"),
    "a key too many": whole(extra=1),
    "resources as a list": whole(resources=[]),
    "a row as text": whole(resources={"queue/q": "ready"}),
    "a row under another name": whole(resources={"queue/other": STORED}),
    "a row with a key too many": damaged(extra=1),
    "a row without properties": bare("properties"),
    "a row without its needs": bare("needs"),
    "a queue that is part of something": damaged(inside="rest-api/a"),
    "a stage that is part of nothing": whole(resources={"stage/q": STORED | {"kind": "stage"}}),
    "a row from no time": damaged(updated_at=""),
    "an unknown status": damaged(status="gone"),
    "properties as a list": damaged(properties=[]),
    "needs that are no addresses": damaged(needs=[1]),
    "an account as a number": whole(account=1),
    "a protection in words": whole(protected="yes"),
    "deletions as a list": whole(deleted=["queue/q"]),
    "a deletion at no time": whole(deleted={"queue/q": 7}),
    "a deletion at a time that cannot be read": whole(deleted={"queue/q": "yesterday"}),
}


@pytest.mark.parametrize("damage", CORRUPT)
def test_what_is_no_ledger_is_named_and_left_as_it_is(damage: str, tmp_path: Path) -> None:
    path, content = tmp_path / "dev.json", CORRUPT[damage]
    as_bytes = content if isinstance(content, bytes) else (content if isinstance(content, str) else json.dumps(content))
    path.write_bytes(as_bytes if isinstance(as_bytes, bytes) else as_bytes.encode())
    before = path.read_bytes()
    with pytest.raises(LedgerCorrupt) as refused:
        opened(tmp_path)
    assert str(path) in refused.value.message and "Move it away" in refused.value.hint
    assert path.read_bytes() == before


def test_the_undamaged_ledger_that_these_are_made_from_is_fine(tmp_path: Path) -> None:
    (tmp_path / "dev.json").write_text(json.dumps(whole()))
    assert set(opened(tmp_path).rows) == {"queue/q"}


def test_a_directory_in_its_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "dev.json").mkdir()
    with pytest.raises(LedgerCorrupt, match="state file"):
        opened(tmp_path)


@pytest.mark.matrix
def test_a_stage_that_down_finds_in_an_api_without_tags_is_recorded_so_that_it_can_be_read_again(
    world: QuickWorld,
) -> None:
    world.up(everything(SAMPLES["stage"].make()))
    world.path.unlink()
    api = client("apigateway").get_rest_apis()["items"][0]["id"]
    client("apigateway").untag_resource(
        resourceArn=f"arn:aws:apigateway:us-east-1::/restapis/{api}", tagKeys=list(OURS)
    )
    world.before = on_write(0, kill)
    with pytest.raises(Killed):
        world.down()
    world.before = None
    contents = read(world.path)
    assert contents and "stage/prod" in contents.rows
    world.down()
    assert client("apigateway").get_stages(restApiId=api)["item"] == []


def test_a_newer_format_says_so_and_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "dev.json"
    path.write_text(json.dumps({"format": 2, "everything": "else"}))
    before = path.read_bytes()
    with pytest.raises(LedgerTooNew, match="format 2") as refused:
        opened(tmp_path)
    assert "Upgrade" in refused.value.hint
    assert path.read_bytes() == before


def test_a_kind_that_this_iotpipe_does_not_know_is_that_of_a_newer_one(world: QuickWorld) -> None:
    world.up([Queue("q", retention=60)])
    data = json.loads(world.path.read_text())
    data["resources"]["stream/s"] = data["resources"]["queue/q"] | {"kind": "stream", "name": "s"}
    world.path.write_text(json.dumps(data))
    before = world.path.read_bytes()
    for command in (world.down, lambda: world.up([Queue("other", retention=60)])):
        with pytest.raises(LedgerTooNew, match="stream"):
            command()
        assert not world.writes
        assert world.path.read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"environment": "prod"}, ("environment prod", "environment dev")),
        ({"account": "2"}, ("account 2", "account 1")),
        ({"region": "eu-west-1"}, ("region eu-west-1", "region us-east-1")),
    ],
)
def test_a_ledger_of_another_place_is_refused_and_left_as_it_is(
    changes: dict[str, str], named: tuple[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "dev.json"
    path.write_text(json.dumps(whole(**changes)))
    before = path.read_bytes()
    with pytest.raises(LedgerOfAnotherAccount) as refused:
        opened(tmp_path)
    assert all(each in str(refused.value) for each in (*named, str(path), "nothing was changed"))
    assert path.read_bytes() == before


# List of environments


def test_the_environments_with_a_state_are_those_that_record_something(tmp_path: Path) -> None:
    assert with_state(tmp_path / "not there") == []
    for name in ("prod", "dev"):
        opened(tmp_path, name).record(ROW)
    gone = opened(tmp_path, "gone")
    gone.record(ROW)
    gone.forget(["queue/q"], kept_back=["queue/q"])
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "dev.lock").write_text("{}")
    assert with_state(tmp_path) == ["broken", "dev", "prod"]


# Secrets


@pytest.mark.matrix
def test_the_secret_is_in_no_file_no_event_and_no_error(
    world: QuickWorld, config_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iotpipe.provision.resources.secret.secrets.token_urlsafe", lambda size: "TOP-SECRET")
    wanted, tags = declared(config_dir)
    plan = world.up(wanted, tags=tags)
    value = client("ssm").get_parameter(Name="/iot-pipeline/dev/api-key", WithDecryption=True)["Parameter"]["Value"]
    assert value == "TOP-SECRET"
    later = world.up(wanted, tags={})
    said = [world.path.read_text(), repr(plan), repr(later), repr(world.events)]
    assert not any("TOP-SECRET" in each for each in said)


def test_the_secret_is_not_in_the_error_when_it_cannot_be_written(
    world: QuickWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iotpipe.provision.resources.secret.secrets.token_urlsafe", lambda size: "TOP-SECRET")
    world.before = lambda operation, parameters: (
        refusal(operation, "AccessDeniedException", "not authorized to perform ssm:PutParameter")
        if operation == "PutParameter"
        else None
    )
    with pytest.raises(ApplyFailed) as failed:
        world.up([Secret("/key")])
    assert "TOP-SECRET" not in str(failed.value) + repr(failed.value.failed) + repr(world.events)
    assert "TOP-SECRET" not in world.path.read_text()


def test_the_secret_is_never_asked_for_and_never_written_again(world: QuickWorld) -> None:
    asked: list[dict[str, Any]] = []

    def watch(operation: str, parameters: dict[str, Any]) -> None:
        if operation.startswith("GetParameter"):
            asked.append(parameters)

    world.before = watch
    world.up([Secret("/key")])
    client("ssm").put_parameter(Name="/key", Type="SecureString", Value="the user's own", Overwrite=True)
    world.up([Secret("/key")], tags={"new": "tag"})
    assert world.writes == ["AddTagsToResource"]
    world.plan([Secret("/key")])
    assert not asked
    found = client("ssm").get_parameter(Name="/key", WithDecryption=True)["Parameter"]
    assert found["Value"] == "the user's own"
