"""The hint with the command that installs the embedded AWS, for each way to install iotpipe."""

from __future__ import annotations

import json
import sys
from importlib import metadata
from pathlib import Path

import pytest

from iotpipe.local import install_hint
from iotpipe.local.install_hint import remedy

NEEDED = f"ministack=={metadata.version('ministack')}"


class Installed:
    """The package metadata of iotpipe."""

    requires = (
        f"{NEEDED}; extra == 'dev'",
        f"{NEEDED}; extra == 'local'",
        "pyarrow>=20; extra == 'parquet'",
        "boto3>=1",
    )

    def __init__(self, **origin: object) -> None:
        self.origin = origin

    def read_text(self, name: str) -> str | None:
        return json.dumps(self.origin) if self.origin else None


def test_in_an_ordinary_environment_its_own_pip_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(sys, "executable", "/home/ann/my tools/bin/python")
    assert remedy() == f"Run `'/home/ann/my tools/bin/python' -m pip install {NEEDED}`"


def test_pipx_puts_it_into_iotpipes_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pipx_metadata.json").write_text("{}")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert remedy() == f"Run `pipx inject iotpipe {NEEDED}`"


@pytest.mark.parametrize(
    ("origin", "source"),
    [
        ({}, "iotpipe"),
        ({"url": "file:///home/ann/iotpipe", "dir_info": {}}, "/home/ann/iotpipe"),
        ({"url": "https://example.com/i.git", "vcs_info": {"vcs": "git"}}, "git+https://example.com/i.git"),
    ],
)
def test_uv_installs_iotpipe_once_more_with_it_from_where_it_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, origin: dict[str, object], source: str
) -> None:
    (tmp_path / "uv-receipt.toml").write_text("")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(metadata, "distribution", lambda name: Installed(**origin))
    monkeypatch.setattr(install_hint, "installed", lambda extra: False)
    assert remedy() == f"Run `uv tool install --with {NEEDED} {source}`"


def test_uv_keeps_the_other_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "uv-receipt.toml").write_text("")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(metadata, "distribution", lambda name: Installed())
    monkeypatch.setattr(install_hint, "installed", lambda extra: extra == "local")
    assert remedy("parquet") == f"Run `uv tool install --with {NEEDED} --with 'pyarrow>=20' iotpipe`"
