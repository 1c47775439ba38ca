"""Building a layer: its identity, its cache, and what can go wrong on the way."""

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

import pip
import pytest
from packaging_samples import HOST, RUNNING, unpacked

from iotpipe.errors import PackagingError
from iotpipe.packaging import Layer, archive, layer, wheels

OnlyWheel = Callable[[str, dict[str, bytes]], Path]

PURE = "six-1.17.0-py2.py3-none-any.whl"
SIX = {"six.py": b"answer = 42\n", "six-1.17.0.data/scripts/six": b"#!/bin/sh\n"}
SOURCE, COMPILED = "python/six.py", f"python/__pycache__/six.{sys.implementation.cache_tag}.pyc"

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


@pytest.mark.slow
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


def test_a_built_layer_is_not_built_again(built: Layer, tmp_path: Path) -> None:
    assert set(unpacked(built.content())) == {SOURCE, COMPILED}


def test_a_layer_with_bytecode_serves_where_the_interpreter_has_gone(
    built: Layer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide_interpreters(monkeypatch)
    assert COMPILED in unpacked(built.content())


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


def test_a_file_that_another_user_put_there_is_not_deployed(
    built: Layer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file,) = (tmp_path / "cache").iterdir()
    forged = b"forged"
    start = file.name.rpartition("-")[0]
    (tmp_path / "cache" / f"{start}-{hashlib.sha256(forged).hexdigest()}.zip").write_bytes(forged)
    file.unlink()
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    give_back_the_wheel(tmp_path)
    assert built.content() != forged


def test_the_cache_is_for_its_owner_alone(built: Layer, tmp_path: Path) -> None:
    (file,) = (tmp_path / "cache").iterdir()
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert file.stat().st_mode & 0o777 == 0o600


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


def test_a_cache_that_cannot_be_written_is_named_with_a_way_out(only_wheel: OnlyWheel, tmp_path: Path) -> None:
    only_wheel(PURE, SIX)
    (tmp_path / "file").write_text("")
    with pytest.raises(PackagingError) as caught:
        layer(RUNNING, HOST, tmp_path / "file" / "cache").content()
    assert str(caught.value).startswith(f"cannot keep the built layer in {tmp_path}/file/cache: Not a directory. ")
    assert "XDG_CACHE_HOME" in caught.value.hint


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


def test_a_model_loses_its_prose_but_not_a_member_of_the_name_documentation(
    only_wheel: OnlyWheel, tmp_path: Path
) -> None:
    model = {"documentation": "<p>Prose</p>", "members": [{"documentation": {"shape": "Text"}}]}
    path = "botocore/data/ssm/2014-11-06/service-2.json"
    only_wheel("botocore-1.43.106-py3-none-any.whl", {f"{path}.gz": gzip.compress(json.dumps(model).encode())})
    (content,) = unpacked(layer(RUNNING, HOST, tmp_path / "cache").content()).values()
    assert json.loads(content) == model | {"documentation": ""}


# What pip and Lambda refuse


def test_a_layer_that_lambda_would_refuse_is_neither_answered_nor_kept(
    only_wheel: OnlyWheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_wheel(PURE, SIX)
    monkeypatch.setattr(archive, "UNZIPPED_LIMIT", 20)
    with pytest.raises(PackagingError, match=r"cannot deploy the layer: unzipped it has \d+ bytes"):
        layer(RUNNING, HOST, tmp_path / "cache").content()
    assert not (tmp_path / "cache").exists()


ELF_OF_X86 = b"\x7fELF\x02\x01\x01" + bytes(11) + (62).to_bytes(2, "little") + bytes(44)
MACH_O = b"\xcf\xfa\xed\xfe" + bytes(60)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("wrapt/_wrappers.so", ELF_OF_X86),
        ("wrapt.libs/libgcc_s.so.1", ELF_OF_X86),
        ("wrapt/_wrappers.so", MACH_O),
        ("wrapt/_wrappers.so", ELF_OF_X86[:6]),
    ],
    ids=["x86", "beside it", "macOS", "cut off"],
)
def test_an_object_of_another_machine_is_refused_whatever_its_wheel_is_called(
    path: str, content: bytes, only_wheel: OnlyWheel, tmp_path: Path
) -> None:
    only_wheel("wrapt-2.5.2-cp313-cp313-manylinux2014_aarch64.whl", {path: content})
    with pytest.raises(PackagingError) as caught:
        layer("python3.13", "arm64", tmp_path / "cache").content()
    assert f"for arm64: python/{path} is for another machine" in caught.value.message


@pytest.mark.parametrize(
    ("runtime", "platform", "fits"),
    [
        ("python3.11", "manylinux_2_26_x86_64", True),
        ("python3.11", "manylinux_2_28_x86_64", False),
        ("python3.12", "manylinux_2_34_x86_64", True),
        ("python3.12", "manylinux_2_35_x86_64", False),
        ("python3.12", "manylinux2014_x86_64", True),
        ("python3.12", "macosx_11_0_arm64", False),
    ],
)
def test_a_wheel_is_taken_only_if_the_runtimes_glibc_can_load_it(
    runtime: str, platform: str, fits: bool, only_wheel: OnlyWheel, tmp_path: Path
) -> None:
    only_wheel(f"wrapt-2.5.2-cp311-abi3-{platform}.whl", {"wrapt/_wrappers.so": ELF_OF_X86})
    target = layer(runtime, "x86_64", tmp_path / "cache")
    if fits:
        assert "python/wrapt/_wrappers.so" in unpacked(target.content())
    else:
        with pytest.raises(PackagingError, match="No matching distribution found for wrapt"):
            target.content()


def test_a_wheel_that_was_exchanged_is_refused_with_pips_own_words(only_wheel: OnlyWheel, tmp_path: Path) -> None:
    wheel = only_wheel(PURE, SIX)
    wheel.write_bytes(wheel.read_bytes() + b"\n")
    with pytest.raises(PackagingError) as caught:
        layer("python3.13", "arm64", tmp_path / "cache").content()
    assert str(caught.value).startswith("cannot fetch the layer's wheels for python3.13 on arm64:\n")
    assert "Expected sha256" in caught.value.message
    assert "do not use it" in caught.value.hint


def test_a_pin_without_a_hash_is_refused(only_wheel: OnlyWheel, tmp_path: Path) -> None:
    only_wheel(PURE, SIX)
    wheels.REQUIREMENTS.write_text("six==1.17.0\n")
    with pytest.raises(PackagingError, match="Hashes are required"):
        layer("python3.13", "arm64", tmp_path / "cache").content()


def test_versions_that_the_index_lacks_point_at_the_index(offline: Path, tmp_path: Path) -> None:
    with pytest.raises(PackagingError, match="No matching distribution found for") as caught:
        layer("python3.13", "arm64", tmp_path / "cache").content()
    assert "Check that pip reaches its index or mirror" in caught.value.hint


def test_an_unreachable_index_points_at_the_network(
    offline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(PackagingError) as caught:
        layer("python3.13", "arm64", tmp_path / "cache").content()
    assert "Check the network and the proxy" in caught.value.hint


def test_an_environment_without_pip_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n')
    bare.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(bare))
    with pytest.raises(PackagingError) as caught:
        layer("python3.13", "arm64", tmp_path / "cache").content()
    assert "No module named pip" in caught.value.message
    assert caught.value.hint == "Install pip into the environment that iotpipe runs in"


def test_what_pip_is_told_for_other_installations_does_not_get_in_the_way(
    only_wheel: OnlyWheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_wheel(PURE, SIX)
    for name in ("PIP_USER", "PIP_REQUIRE_VIRTUALENV"):
        monkeypatch.setenv(name, "1")
    for name in ("PIP_TARGET", "PIP_CONSTRAINT", "PIP_REQUIREMENT"):
        monkeypatch.setenv(name, str(tmp_path / "gone"))
    outside = tmp_path / "python"
    packages, real = Path(pip.__file__).parents[1], Path(sys.executable).resolve()
    outside.write_text(f'#!/bin/sh\nPYTHONPATH="{packages}" exec "{real}" "$@"\n')
    outside.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(outside))
    assert SOURCE in unpacked(layer(RUNNING, HOST, tmp_path / "cache").content())


def test_a_file_named_pip_in_the_users_directory_is_not_run(
    only_wheel: OnlyWheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_wheel(PURE, SIX)
    (tmp_path / "pip.py").write_text("raise SystemExit('hijacked')")
    monkeypatch.chdir(tmp_path)
    assert SOURCE in unpacked(layer(RUNNING, HOST, tmp_path / "cache").content())


def test_the_pins_name_no_index() -> None:
    assert "://" not in wheels.REQUIREMENTS.read_text()
    assert all(" --hash=sha256:" in pin for pin in wheels.pins())
