"""Building a layer: its identity, the same bytes each time, and its cache."""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from iotpipe.errors import PackagingError
from iotpipe.packaging import Layer, layer, wheels
from tests.support.layer_samples import COMPILED, HOST, PURE, RUNNING, SIX, SOURCE, OnlyWheel, unpacked

BUILD = """
import os, sys
from pathlib import Path
from iotpipe.packaging import layer
os.umask(int(sys.argv[1], 8))
sys.stdout.buffer.write(layer(sys.argv[2], sys.argv[3], Path(sys.argv[4])).content())
"""


def build(cache: Path, umask: str, directory: Path, **settings: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", BUILD, umask, RUNNING, HOST, str(cache)]
    return subprocess.Popen(command, cwd=directory, env=os.environ | settings, stdout=subprocess.PIPE)


def hide_interpreters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iotpipe.packaging.layers.find_interpreter", lambda python: None)


# Identity


def test_the_identity_is_sixteen_digits_and_needs_no_network_and_no_cache(
    offline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    identity = layer("python3.14", "arm64", tmp_path / "cache").identity
    assert len(identity) == 16
    assert int(identity, 16) > 0
    assert not (tmp_path / "cache").exists()


def test_every_target_has_an_identity_of_its_own() -> None:
    runtimes = ("python3.11", "python3.12", "python3.13", "python3.14")
    found = {layer(runtime, each).identity for runtime in runtimes for each in ("arm64", "x86_64")}
    assert len(found) == 8


def test_a_pin_or_the_hash_of_one_wheel_changes_the_identity_and_a_comment_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def identity_with(text: str) -> str:
        path = tmp_path / "requirements.txt"
        path.write_text(text)
        monkeypatch.setattr(wheels, "REQUIREMENTS", path)
        return layer("python3.13", "arm64").identity

    pinned = "six==1.17.0 \\\n    --hash=sha256:aa\n"
    same = {identity_with(text) for text in (pinned, f"# why\n{pinned}", "six==1.17.0 --hash=sha256:aa\n")}
    others = {identity_with(pinned.replace(old, new)) for old, new in (("1.17", "1.18"), ("aa", "ab"))}
    assert len(same) == 1
    assert len(same | others) == 3


@pytest.mark.parametrize(
    ("runtime", "architecture", "problem"),
    [
        ("python3.10", "arm64", "runtime python3.10. Choose one of python3.11, "),
        ("python3.13", "aarch64", "architecture aarch64. Choose one of arm64, x86_64"),
    ],
)
def test_a_target_that_lambda_or_iotpipe_does_not_have_is_refused(
    runtime: str, architecture: str, problem: str
) -> None:
    with pytest.raises(PackagingError) as caught:
        layer(runtime, architecture)
    assert problem in str(caught.value)


@pytest.mark.build
def test_a_hidden_interpreter_leaves_the_identity_and_the_sources_as_they_are(
    only_wheel: OnlyWheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_wheel(PURE, SIX)
    seen = layer(RUNNING, HOST, tmp_path / "seen")
    with_bytecode = unpacked(seen.content())
    hide_interpreters(monkeypatch)
    hidden = layer(RUNNING, HOST, tmp_path / "hidden")
    assert set(unpacked(hidden.content())) == {SOURCE}
    assert set(with_bytecode) == {SOURCE, COMPILED}
    assert hidden.identity == seen.identity
    assert not hidden.has_bytecode_interpreter()


# The same bytes


@pytest.mark.build
def test_two_processes_in_other_surroundings_build_the_same_layer_at_once(running_layer: Layer, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    one = build(cache, "077", Path("/"), TZ="Asia/Tokyo", PYTHONHASHSEED="7", LC_ALL="C")
    other = build(cache, "000", tmp_path, TZ="America/Lima", PYTHONHASHSEED="8", LC_ALL="C.UTF-8")
    assert [each.communicate()[0] for each in (one, other)] == [running_layer.content()] * 2
    assert len(list(cache.iterdir())) == 1


# The cache


@pytest.fixture
def built(only_wheel: OnlyWheel, tmp_path: Path) -> Layer:
    """A layer of one module, in a cache of its own; its wheel is gone, so that it cannot be built again."""
    wheel = only_wheel(PURE, SIX)
    made = layer(RUNNING, HOST, tmp_path / "cache")
    made.content()
    wheel.rename(tmp_path / wheel.name)
    return made


def give_back_the_wheel(tmp_path: Path) -> None:
    (tmp_path / PURE).rename(tmp_path / "wheels" / PURE)


@pytest.mark.matrix
def test_a_built_layer_is_not_built_again(built: Layer, tmp_path: Path) -> None:
    assert set(unpacked(built.content())) == {SOURCE, COMPILED}


@pytest.mark.matrix
def test_a_layer_with_bytecode_serves_where_the_interpreter_has_gone(
    built: Layer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide_interpreters(monkeypatch)
    assert COMPILED in unpacked(built.content())


@pytest.mark.build
def test_a_layer_without_bytecode_is_kept_too_until_an_interpreter_is_there(
    only_wheel: OnlyWheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = only_wheel(PURE, SIX)
    plain = layer(RUNNING, HOST, tmp_path / "cache")
    with monkeypatch.context() as hidden:
        hide_interpreters(hidden)
        plain.content()
        wheel.rename(tmp_path / PURE)
        assert set(unpacked(plain.content())) == {SOURCE}
    give_back_the_wheel(tmp_path)
    assert set(unpacked(plain.content())) == {SOURCE, COMPILED}


@pytest.mark.build
@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    "damage",
    [lambda good: good[:-1], lambda good: good[:99] + b"!" + good[100:], lambda good: b""],
    ids=["cut off", "one byte", "empty"],
)
def test_a_damaged_file_is_built_again_and_repaired(
    built: Layer, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    good = built.content()
    (file,) = (tmp_path / "cache").iterdir()
    file.write_bytes(damage(good))
    give_back_the_wheel(tmp_path)
    assert built.content() == good
    assert file.read_bytes() == good


@pytest.mark.build
def test_a_file_that_another_user_put_there_is_not_deployed(
    built: Layer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file,) = (tmp_path / "cache").iterdir()
    forged = b"forged"
    start = file.name.rpartition("-")[0]
    (tmp_path / "cache" / f"{start}-{hashlib.sha256(forged).hexdigest()}.zip").write_bytes(forged)
    file.unlink()
    another = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: another)
    give_back_the_wheel(tmp_path)
    assert built.content() != forged


@pytest.mark.matrix
def test_the_cache_is_for_its_owner_alone(built: Layer, tmp_path: Path) -> None:
    (file,) = (tmp_path / "cache").iterdir()
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.build
def test_without_a_choice_the_cache_follows_the_users_settings(
    only_wheel: OnlyWheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_wheel(PURE, SIX)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    layer(RUNNING, HOST).content()
    assert len(list((tmp_path / "xdg/iotpipe").iterdir())) == 1
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    layer(RUNNING, HOST).content()
    assert len(list((tmp_path / "home/.cache/iotpipe").iterdir())) == 1


@pytest.mark.matrix
def test_a_cache_that_cannot_be_written_is_named_with_a_way_out(only_wheel: OnlyWheel, tmp_path: Path) -> None:
    only_wheel(PURE, SIX)
    (tmp_path / "file").write_text("")
    with pytest.raises(PackagingError) as caught:
        layer(RUNNING, HOST, tmp_path / "file" / "cache").content()
    assert str(caught.value).startswith(f"cannot keep the built layer in {tmp_path}/file/cache: Not a directory. ")
    assert "XDG_CACHE_HOME" in caught.value.hint


@pytest.mark.matrix
def test_a_full_disk_leaves_no_half_file(
    only_wheel: OnlyWheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    only_wheel(PURE, SIX)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PackagingError, match=r"cannot keep the built layer in .*: No space left on device"):
        layer(RUNNING, HOST, tmp_path / "cache").content()
    assert list((tmp_path / "cache").iterdir()) == []


# Trimming


@pytest.mark.matrix
def test_a_model_loses_its_prose_but_not_a_member_of_the_name_documentation(
    only_wheel: OnlyWheel, tmp_path: Path
) -> None:
    model = {"documentation": "<p>Prose</p>", "members": [{"documentation": {"shape": "Text"}}]}
    path = "botocore/data/ssm/2014-11-06/service-2.json"
    only_wheel("botocore-1.43.106-py3-none-any.whl", {f"{path}.gz": gzip.compress(json.dumps(model).encode())})
    (content,) = unpacked(layer(RUNNING, HOST, tmp_path / "cache").content()).values()
    assert json.loads(content) == model | {"documentation": ""}
