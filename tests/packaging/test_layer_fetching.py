"""What pip, Lambda or the target's machine would refuse, and what of pip's settings does not matter."""

from __future__ import annotations

import sys
from pathlib import Path

import pip
import pytest

from iotpipe.errors import PackagingError
from iotpipe.packaging import archive, layer, wheels
from tests.support.layer_samples import HOST, PURE, RUNNING, SIX, SOURCE, OnlyWheel, unpacked


@pytest.mark.matrix
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


@pytest.mark.build
@pytest.mark.sampled(2)
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


@pytest.mark.build
@pytest.mark.sampled(3)
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


@pytest.mark.build
def test_a_wheel_that_was_exchanged_is_refused_with_pips_own_words(only_wheel: OnlyWheel, tmp_path: Path) -> None:
    wheel = only_wheel(PURE, SIX)
    wheel.write_bytes(wheel.read_bytes() + b"\n")
    with pytest.raises(PackagingError) as caught:
        layer("python3.13", "arm64", tmp_path / "cache").content()
    assert str(caught.value).startswith("cannot fetch the layer's wheels for python3.13 on arm64:\n")
    assert "Expected sha256" in caught.value.message
    assert "do not use it" in caught.value.hint


@pytest.mark.build
def test_a_pin_without_a_hash_is_refused(only_wheel: OnlyWheel, tmp_path: Path) -> None:
    only_wheel(PURE, SIX)
    wheels.REQUIREMENTS.write_text("six==1.17.0\n")
    with pytest.raises(PackagingError, match="Hashes are required"):
        layer("python3.13", "arm64", tmp_path / "cache").content()


@pytest.mark.build
def test_versions_that_the_index_lacks_point_at_the_index(offline: Path, tmp_path: Path) -> None:
    with pytest.raises(PackagingError, match="No matching distribution found for") as caught:
        layer("python3.13", "arm64", tmp_path / "cache").content()
    assert "Check that pip reaches its index or mirror" in caught.value.hint


@pytest.mark.build
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


@pytest.mark.matrix
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


@pytest.mark.matrix
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
