"""The store of the embedded AWS, compared with a dictionary: after saves, failed saves and kills."""

from __future__ import annotations

import random
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from iotpipe.errors import LedgerCorrupt
from iotpipe.local.storage.items import Items, Table
from iotpipe.local.storage.logs import Streams
from iotpipe.local.storage.messages import Messages
from iotpipe.local.storage.store import References, Store

Model = dict[tuple[int, bytes], dict[bytes, bytes]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "engine.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = Store(path)
    yield store
    store.close()


def save(store: Store, *used: int, moment: float = 1.0, **states: bytes) -> bool:
    return store.save(states, References(store.begin_save(), set(used)), moment)


def assert_same(store: Store, model: Model, collections: int) -> None:
    keys = {where for where, rows in model.items() if rows}
    for number in range(1, collections + 1):
        held = sorted(key for collection, key in keys if collection == number)
        assert store.keys(number) == held
        for some in (held, held[1:], held[1:3:2]):
            if some:
                assert store.rows_by_key(number, some) == {key: model[number, key] for key in some}
    for where in {*model, (1, b"never")}:
        rows = model.get(where, {})
        assert store.rows(*where) == rows
        assert_same_spans(store, where, rows)
        assert store.has_rows(*where) == bool(model.get(where))


def assert_same_spans(store: Store, where: tuple[int, bytes], rows: dict[bytes, bytes]) -> None:
    for low, high, most in ((b"", b"\xff", 2), (b"\x01", b"\x04", 1), (b"\x02", b"\xff", None), (b"\x03", b"\x02", 1)):
        for backward in (False, True):
            within = [each for each in sorted(rows.items(), reverse=backward) if low <= each[0] <= high]
            found = store.rows_between(*where, low, high, most, backward=backward)
            assert list(found.items()) == within[:most]


def without_room(store: Store) -> None:
    """Limit the database to its current size, as on a full disk."""
    (pages,) = store._writing.execute("PRAGMA page_count").fetchone()
    store._writing.execute(f"PRAGMA max_page_count={pages}")


def with_room(store: Store) -> None:
    store._writing.execute("PRAGMA max_page_count=1000000")


@pytest.mark.sampled(3)
@pytest.mark.matrix
@pytest.mark.parametrize("seed", range(12))
def test_it_reads_as_a_dictionary_whatever_has_reached_the_disk(path: Path, seed: int) -> None:
    chance, store = random.Random(seed), Store(path)
    collections = [store.reserve_collection() for _ in range(2)]
    model: Model = {}
    saved: Model = {}
    for _ in range(400):
        where = (chance.choice(collections), bytes([chance.randrange(5)]))
        subkey, content = bytes([chance.randrange(6)]), chance.randbytes(chance.choice((1, 5000)))
        act = chance.random()
        if act < 0.6:
            store.put(*where, subkey, content)
            model.setdefault(where, {})[subkey] = content
        elif act < 0.9:
            store.put(*where, subkey, None)
            model.get(where, {}).pop(subkey, None)
        elif act < 0.94:
            save(store, *collections)
            saved = {each: dict(rows) for each, rows in model.items()}
        elif act < 0.97:
            without_room(store)
            for name in (chance.randbytes(8) for _ in range(100)):
                store.put(collections[0], b"much", name, bytes(5000))
                model.setdefault((collections[0], b"much"), {})[name] = bytes(5000)
            with pytest.raises(sqlite3.Error, match="full"):
                save(store, *collections)
            with_room(store)
        else:
            # A killed process loses what is not saved: another store reads the last save.
            other = Store(path)
            assert_same(other, saved, len(collections))
            other.close()
        rows = model.get(where, {})
        assert store.get(*where, subkey) == rows.get(subkey)
        assert_same_spans(store, where, rows)
    assert_same(store, model, len(collections))
    save(store, *collections)
    store.close()
    assert_same(Store(path), model, len(collections))


def test_a_save_writes_the_moment_of_the_swap_and_what_came_later_next_time(path: Path, store: Store) -> None:
    number = store.reserve_collection()
    store.put(number, b"device", b"1", b"before")
    references = References(store.begin_save(), {number})
    store.put(number, b"device", b"1", b"after")
    store.put(number, b"device", b"2", b"after")
    assert store.save({"sqs": b"{}"}, references, 1_700_000_000.5)
    saved = Store(path)
    assert saved.rows(number, b"device") == {b"1": b"before"}
    assert saved.saved_at == 1_700_000_000.5
    saved.close()
    assert store.rows(number, b"device") == {b"1": b"after", b"2": b"after"}
    assert save(store, number, sqs=b"{}")
    assert not save(store, number, sqs=b"{}")
    saved = Store(path)
    assert saved.rows(number, b"device") == {b"1": b"after", b"2": b"after"}
    saved.close()


def test_what_no_state_names_any_more_is_deleted_but_nothing_newer(path: Path, store: Store) -> None:
    old, kept = store.reserve_collection(), store.reserve_collection()
    for number in (old, kept):
        store.put(number, b"device", b"1", b"row")
    blobs = {"a": b"code", "b": b"layer"}
    store.save({"lambda": b"1"}, References(store.begin_save(), {old, kept}, blobs), 1)
    references = References(store.begin_save(), {kept}, {"b": b"layer"})
    # A function's first log line creates its log group while the states are written.
    new = store.reserve_collection()
    store.put(new, b"stream", b"", b"row")
    store.save({"lambda": b"2"}, references, 1)
    assert (store.keys(old), store.keys(kept), store.keys(new)) == ([], [b"device"], [b"stream"])
    assert store.blob("b") == b"layer"
    with pytest.raises(Exception, match="it has no a"):
        store.blob("a")
    save(store, kept, new)
    saved = Store(path)
    assert saved.keys(new) == [b"stream"]
    saved.close()


@pytest.mark.parametrize("replaced", [False, True])
def test_a_database_that_was_deleted_counts_as_not_saved(path: Path, store: Store, replaced: bool) -> None:
    number = store.reserve_collection()
    assert save(store, number, sqs=b"{}")
    path.rename(path.with_suffix(".old"))
    if replaced:
        path.touch()
    for _ in range(2):  # the second time without changes
        with pytest.raises(OSError, match="was deleted or replaced"):
            save(store, number, sqs=b"{}")
    path.with_suffix(".old").rename(path)
    assert not save(store, number, sqs=b"{}")


@pytest.mark.parametrize("damage", [b"", b"\0"])
def test_a_database_with_a_damaged_page_is_refused(path: Path, damage: bytes) -> None:
    store = Store(path)
    number = store.reserve_collection()
    for row in range(1000):
        store.put(number, b"device", str(row).encode(), bytes(100))
    save(store, number)
    store.close()
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 4096] = damage * 4096
    path.write_bytes(content)
    with pytest.raises(LedgerCorrupt, match="is damaged"):
        Store(path)


def test_what_a_save_does_depends_on_what_has_changed_and_not_on_what_there_is(store: Store) -> None:
    number = store.reserve_collection()

    def steps(row: int) -> int:
        """Return how many hundred steps of SQLite's virtual machine it takes to write 50 rows and delete 50 others."""
        taken: list[None] = []
        for each in range(50):
            store.put(number, b"new", (row + each).to_bytes(8, "big"), b"content")
            store.put(number, b"old", each.to_bytes(8, "big"), None)
        store._writing.set_progress_handler(lambda: taken.append(None), 100)
        save(store, number)
        store._writing.set_progress_handler(None, 0)
        return len(taken)

    few = steps(0)
    for row in range(20_000):
        store.put(number, b"old", row.to_bytes(8, "big"), b"content")
    save(store, number)
    assert steps(50) < 3 * few


def test_numbers_of_collections_are_given_once(store: Store) -> None:
    assert store.reserve_collection(7) == 7
    assert store.reserve_collection() == 8


def test_a_new_collection_holds_nothing_of_a_deleted_one(path: Path) -> None:
    store = Store(path)
    number = store.reserve_collection()
    store.put(number, b"device", b"1", b"row")
    save(store, number)
    store.close()
    # The collection is deleted before the first save, and a thread that still holds it writes to it afterwards.
    store = Store(path)
    save(store, sqs=b"{}")
    assert store.keys(number) == []
    store.put(number, b"device", b"2", b"late")
    save(store, sqs=b"{}")
    store.close()
    store = Store(path)
    assert store.keys(store.reserve_collection()) == []
    save(store, sqs=b"{}")
    assert store.keys(number) == []
    store.close()


def test_readers_and_writers_in_threads_lose_nothing(store: Store) -> None:
    number = store.reserve_collection()
    over = threading.Event()

    def write(thread: int) -> None:
        for row in range(300):
            store.put(number, str(thread).encode(), str(row).encode(), b"content")
            assert store.get(number, str(thread).encode(), str(row).encode()) == b"content"

    def keep_saving() -> None:
        while not over.is_set():
            save(store, number)

    with ThreadPoolExecutor(5) as pool:
        saving = pool.submit(keep_saving)
        for each in [pool.submit(write, thread) for thread in range(4)]:
            each.result()
        over.set()
        saving.result()
    assert [len(store.rows(number, str(thread).encode())) for thread in range(4)] == [300] * 4


def test_items_behave_as_the_dictionaries_that_ministack_expects(store: Store) -> None:
    table = Table(store, {"TableName": "raw", "items": {}})
    item = {"device_id": {"S": "a"}, "value": {"N": "1"}}
    table["items"].setdefault("a", {})["1"] = item
    table["items"]["a"]["2"] = item
    assert dict(table["items"]["a"].items()) == {"1": item, "2": item}
    assert "a" in table["items"]
    assert "b" not in table["items"]
    assert table["items"].get("b", {}).get("1") is None
    with pytest.raises(KeyError):
        table["items"]["a"]["3"]
    # Reading returns a copy.
    table["items"]["a"]["1"]["value"] = {"N": "2"}
    assert table["items"]["a"]["1"] == item
    assert table["items"]["a"].pop("1") == item
    table["items"] = {"c": {"1": item}}
    assert isinstance(table["items"], Items)
    assert table["items"].keys() == ["c"]
    half = "\ud800"
    table["items"][half] = {half: item}
    assert [(key, list(rows)) for key, rows in table["items"].items()] == [("c", ["1"]), (half, [half])]


def message(name: str, sent_at: float = 0.0) -> dict[str, Any]:
    return {"id": name, "body": f"body of {name}", "sent_at": sent_at}


def received(messages: Messages, most: int = 10, hidden: float = 0, last: int = 99) -> list[str]:
    return [each["id"] for each in messages.receive(most, hidden, last, float("inf"))[0]]


def test_messages_survive_as_they_were(path: Path, store: Store) -> None:
    messages = Messages(store, store.reserve_collection())
    for number in range(5):
        messages.append(message(f"m{number}", sent_at=number))
    (first, second), _ = messages.receive(2, 3600, 99, float("inf"))
    assert messages.delete(first["receipt_handle"])
    assert not messages.delete(first["receipt_handle"])
    save(store, messages.number)
    again = Messages(Store(path), messages.number)
    assert [each["id"] for each in again] == ["m1", "m2", "m3", "m4"]
    assert received(again, hidden=3600) == ["m2", "m3", "m4"]
    for _ in range(2):
        assert again.change_visibility(second["receipt_handle"], 0)
    assert received(again) == ["m1"]


def test_a_message_is_given_away_again_only_once_it_is_visible_and_not_too_often(store: Store) -> None:
    messages = Messages(store, store.reserve_collection())
    messages.append(message("once"))
    assert received(messages, hidden=3600) == ["once"]
    assert received(messages) == []
    (held,) = messages
    assert messages.change_visibility(held["receipt_handle"], 0)
    assert received(messages, last=2) == ["once"]
    assert messages.receive(10, 0, 2, float("inf")) == ([], [held])
    assert list(messages) == []
    assert not messages.delete(held["receipt_handle"])


def test_a_batch_has_as_many_bytes_as_lambda_takes_and_at_least_one_message(store: Store) -> None:
    messages = Messages(store, store.reserve_collection())
    for name, size in (("big", 300), ("small", 10), ("other", 10), ("large", 100)):
        messages.append(message(name) | {"body": size * "x"})
    batches = [[each["id"] for each in messages.receive(10, 3600, 99, 100)[0]] for _ in range(4)]
    assert batches == [["big"], ["small", "other"], ["large"], []]


def test_old_messages_go(store: Store) -> None:
    messages = Messages(store, store.reserve_collection())
    messages.append(message("old", sent_at=1))
    messages.append(message("new", sent_at=9_999_999_999))
    messages.expire(3600)
    assert [each["id"] for each in messages] == ["new"]


def test_nothing_is_lost_or_given_away_twice_while_it_is_sent_received_and_deleted_at_once(store: Store) -> None:
    messages = Messages(store, store.reserve_collection())
    seen: list[str] = []

    def send(thread: int) -> None:
        for number in range(500):
            messages.append(message(f"{thread}-{number}"))

    def take() -> None:
        while len(seen) < 1000:
            for each in messages.receive(7, 3600, 99, float("inf"))[0]:
                seen.append(each["id"])
                assert messages.delete(each["receipt_handle"])

    with ThreadPoolExecutor(4) as pool:
        for each in [*(pool.submit(send, thread) for thread in range(2)), *(pool.submit(take) for _ in range(2))]:
            each.result()
    assert len(seen) == len(set(seen)) == 1000
    assert len(messages) == 0


def test_nothing_piles_up_of_messages_that_were_deleted_while_they_were_hidden(store: Store) -> None:
    messages = Messages(store, store.reserve_collection())
    for number in range(5000):
        messages.append(message(str(number)))
        ((each,), _) = messages.receive(1, 43_200, 99, float("inf"))
        messages.delete(each["receipt_handle"])
    assert len(messages._visibility_heap) < 2000
    messages.append(message("last"))
    assert received(messages) == ["last"]


def test_streams_survive_as_they_were(path: Path, store: Store) -> None:
    streams = Streams(store, store.reserve_collection())
    for name in ("a", "b"):
        streams[name] = {"events": []}
    streams["a"]["events"].append({"message": "line"})
    streams["a"].write()
    del streams["b"]
    save(store, streams.number)
    assert dict(Streams(Store(path), streams.number)) == {"a": {"events": [{"message": "line"}]}}
