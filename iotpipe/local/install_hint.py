"""The command that installs the embedded AWS in iotpipe's own environment."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import sys
from importlib import metadata
from pathlib import Path


def installed() -> bool:
    """Whether all packages of the embedded AWS are installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("ministack", "hypercorn"))


def remedy() -> str:
    """Return a hint with the command: pip's, or that of the tool (pipx, uv) which installed iotpipe."""
    requirement = shlex.quote(_requirement())
    environment = Path(sys.prefix)
    if (environment / "pipx_metadata.json").exists():
        command = f"pipx inject iotpipe {requirement}"
    elif (environment / "uv-receipt.toml").exists():
        # uv removes packages that the last `uv tool install` does not name.
        command = f"uv tool install --with {requirement} {shlex.quote(_source())}"
    else:
        command = f"{shlex.quote(sys.executable)} -m pip install {requirement}"
    return f"Run `{command}`"


def _requirement() -> str:
    """Return the requirement of the extra `local`: the extra itself needs an index that has iotpipe."""
    try:
        requirements = (each.partition(";") for each in metadata.requires("iotpipe") or [])
    except metadata.PackageNotFoundError:  # run from its sources without being installed
        return "iotpipe[local]"
    return next(name.strip() for name, _, marker in requirements if re.search(r"extra == ['\"]local['\"]", marker))


def _source() -> str:
    """Return where iotpipe was installed from: a directory, a URL or, for an index, its name."""
    origin = json.loads(metadata.distribution("iotpipe").read_text("direct_url.json") or "{}")
    url = str(origin.get("url", "iotpipe"))
    if "vcs_info" in origin:
        return f"{origin['vcs_info']['vcs']}+{url}"
    return url.removeprefix("file://")
