"""The release: what is in the wheel and the source archive, and that the installed wheel works without the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
METADATA = f"iotpipe-{PROJECT['version']}.dist-info"

pytestmark = pytest.mark.build


def run(*arguments: str | Path, directory: Path, path: Path | None = None) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"PYTHONPATH": str(path)} if path else {}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=directory, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def wheel(source: Path, into: Path) -> Path:
    run("-m", "hatchling", "build", "--target", "wheel", "--directory", into, directory=source)
    [built] = into.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheel(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("installed")
    pip = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target")
    run(*pip, target, built, directory=target)
    return target


def contents(built: Path) -> Iterator[str]:
    with zipfile.ZipFile(built) as archive:
        yield from archive.namelist()


def test_the_wheel_holds_the_package_and_its_metadata_and_nothing_else(built: Path) -> None:
    names = set(contents(built))
    assert {name.split("/")[0] for name in names} == {"iotpipe", METADATA}
    shipped = {f"iotpipe/configuration/starter/{name}.yaml" for name in ("dev", "local", "prod")}
    shipped |= {f"iotpipe/view/page/{each.name}" for each in (ROOT / "iotpipe/view/page").iterdir()}
    assert shipped | {"iotpipe/py.typed", f"{METADATA}/licenses/LICENSE"} <= names


def test_the_metadata_name_the_licence_and_the_authors(built: Path) -> None:
    with zipfile.ZipFile(built) as archive:
        metadata = message_from_bytes(archive.read(f"{METADATA}/METADATA"))
    assert (metadata["License-Expression"], metadata["License-File"]) == ("Apache-2.0", "LICENSE")
    assert metadata["Author"] == "The iotpipe authors"


def test_the_source_archive_makes_the_same_wheel(built: Path, tmp_path: Path) -> None:
    run("-m", "hatchling", "build", "--target", "sdist", "--directory", tmp_path, directory=ROOT)
    [archive] = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as sources:
        sources.extractall(tmp_path, filter="data")
    again = wheel(tmp_path / f"iotpipe-{PROJECT['version']}", tmp_path / "again")
    assert sorted(contents(again)) == sorted(contents(built))


def test_the_installed_wheel_tells_its_version(installed: Path, tmp_path: Path) -> None:
    said = run("-m", "iotpipe", "--version", directory=tmp_path, path=installed)
    assert said.strip() == PROJECT["version"]


def test_the_installed_wheel_works_without_the_checkout(installed: Path, tmp_path: Path) -> None:
    loaded = run("-c", "import iotpipe; print(iotpipe.__file__)", directory=tmp_path, path=installed)
    assert Path(loaded.strip()).is_relative_to(installed)
    run("-m", "iotpipe", "init", directory=tmp_path, path=installed)
    run("-m", "iotpipe", "validate", "--env", "prod", directory=tmp_path, path=installed)
