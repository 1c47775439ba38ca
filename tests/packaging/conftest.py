"""Layers that are really built, once per target, and tiny wheels for what needs no real ones."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from iotpipe.packaging import Layer, layer, wheels
from tests.support.layer_samples import HOST, RUNNING, zipped


@pytest.fixture(scope="session")
def running_layer(tmp_path_factory: pytest.TempPathFactory) -> Layer:
    """The layer for the running interpreter on this machine, built."""
    built = layer(RUNNING, HOST, tmp_path_factory.mktemp("running"))
    built.content()
    return built


@pytest.fixture(scope="session")
def arm_layer(tmp_path_factory: pytest.TempPathFactory) -> Layer:
    """iotpipe's default target, built."""
    built = layer("python3.13", "arm64", tmp_path_factory.mktemp("arm"))
    built.content()
    return built


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """pip knows no index, only the directory that this answers."""
    directory = tmp_path / "wheels"
    directory.mkdir()
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    settings = tmp_path / "pip.conf"
    settings.write_text("")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(settings))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory))
    return directory


@pytest.fixture
def only_wheel(
    offline: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Callable[[str, dict[str, bytes]], Path]]:
    """Makes the layer consist of one wheel with these files, which pip finds in a directory."""

    def make(name: str, files: dict[str, bytes]) -> Path:
        project, version = name.split("-")[:2]
        about = {
            "METADATA": f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n",
            "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n",
        }
        described = {f"{project}-{version}.dist-info/{each}": text.encode() for each, text in about.items()}
        wheel = offline / name
        wheel.write_bytes(zipped(files | described))
        pin = f"{project}=={version} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"
        requirements = tmp_path / "requirements.txt"
        requirements.write_text(pin)
        monkeypatch.setattr(wheels, "REQUIREMENTS", requirements)
        return wheel

    yield make
