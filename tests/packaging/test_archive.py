"""Archives: the same bytes everywhere, and Lambda's limits."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile

import pytest

from iotpipe.errors import PackagingError
from iotpipe.packaging import archive as module
from iotpipe.packaging import check_sizes, unzipped_size
from iotpipe.packaging.archive import archive, pack

FILES = {"b/two.py": b"2", "a.py": b"one", "b.py": b"three"}


def entries(content: bytes) -> list[zipfile.ZipInfo]:
    with zipfile.ZipFile(io.BytesIO(content)) as source:
        assert source.testzip() is None
        return source.infolist()


def test_the_order_in_which_files_were_found_does_not_show() -> None:
    assert archive(FILES) == archive(dict(reversed(FILES.items())))
    assert [entry.filename for entry in entries(archive(FILES).content)] == ["a.py", "b.py", "b/two.py"]


def test_an_entry_tells_nothing_of_the_machine_that_made_it(monkeypatch: pytest.MonkeyPatch) -> None:
    on_linux = archive(FILES)
    monkeypatch.setattr("sys.platform", "win32")
    assert archive(FILES) == on_linux
    for entry in entries(on_linux.content):
        assert entry.date_time == (1980, 1, 1, 0, 0, 0)
        assert entry.external_attr >> 16 == 0o100644
        assert entry.create_system == 3


def test_a_handlers_zip_does_not_depend_on_the_release_of_zlib() -> None:
    for entry in entries(archive({"long.py": b"x = 1\n" * 1000}).content):
        assert entry.compress_type == zipfile.ZIP_STORED


def test_the_hash_is_the_one_that_lambda_answers() -> None:
    made = archive(FILES)
    assert base64.b64decode(made.sha256) == hashlib.sha256(made.content).digest()


def test_the_unzipped_size_is_that_of_the_files() -> None:
    assert unzipped_size(pack({"a": b"0" * 5000, "b": b"1" * 10}, zipfile.ZIP_DEFLATED)) == 5010


def test_an_upload_over_fifty_megabytes_is_refused_with_its_figures() -> None:
    barely = pack({"data": bytes(module.ZIPPED_LIMIT - 106)}, zipfile.ZIP_STORED)
    assert len(barely) == module.ZIPPED_LIMIT
    check_sizes(barely, {})
    over = pack({"data": bytes(module.ZIPPED_LIMIT - 105)}, zipfile.ZIP_STORED)
    with pytest.raises(PackagingError, match=r"the layer: its zip has 52,428,801 bytes.*52,428,800"):
        check_sizes(over, {})


@pytest.mark.build
def test_the_layer_and_a_handler_are_weighed_together() -> None:
    layer = pack({"data": bytes(module.UNZIPPED_LIMIT - 10)}, zipfile.ZIP_DEFLATED)
    check_sizes(layer, {"query": archive({"a": b"0123456789"})})
    with pytest.raises(PackagingError, match=r"handler query: .* 11 bytes and the layer .* 262,143,990.*262,144,000"):
        check_sizes(layer, {"query": archive({"a": b"0123456789+"})})


def test_a_handlers_own_upload_is_weighed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ZIPPED_LIMIT", 300)
    with pytest.raises(PackagingError, match="cannot upload handler query"):
        check_sizes(pack({}, zipfile.ZIP_STORED), {"query": archive({"a": bytes(300)})})
