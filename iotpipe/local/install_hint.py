"""The command that installs an extra of iotpipe, such as the embedded AWS, in iotpipe's own environment."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import sys
from importlib import metadata
from pathlib import Path

_MODULES = {"local": ("ministack", "hypercorn"), "parquet": ("pyarrow",)}
"""What each extra has to install."""


def installed(extra: str = "local") -> bool:
    """Whether all packages of the extra are installed."""
    return all(importlib.util.find_spec(name) is not None for name in _MODULES[extra])


def remedy(extra: str = "local") -> str:
    """Return a hint with the command: pip's, or that of the tool (pipx, uv) which installed iotpipe."""
    requirement = shlex.quote(_requirement(extra))
    environment = Path(sys.prefix)
    if (environment / "pipx_metadata.json").exists():
        command = f"pipx inject iotpipe {requirement}"
    elif (environment / "uv-receipt.toml").exists():
        # uv removes packages that the last `uv tool install` does not name.
        kept = [shlex.quote(_requirement(each)) for each in _MODULES if each == extra or installed(each)]
        command = f"uv tool install {' '.join(f'--with {each}' for each in kept)} {shlex.quote(_source())}"
    else:
        command = f"{shlex.quote(sys.executable)} -m pip install {requirement}"
    return f"Run `{command}`"


def _requirement(extra: str) -> str:
    """Return the requirement of an extra: the extra itself needs an index that has iotpipe."""
    try:
        requirements = [each.partition(";") for each in metadata.requires("iotpipe") or []]
    except metadata.PackageNotFoundError:  # run from its sources without being installed
        requirements = []
    found = (name.strip() for name, _, marker in requirements if re.search(rf"extra == ['\"]{extra}['\"]", marker))
    return next(found, f"iotpipe[{extra}]")


def _source() -> str:
    """Return where iotpipe was installed from: a directory, a URL or, for an index, its name."""
    origin = json.loads(metadata.distribution("iotpipe").read_text("direct_url.json") or "{}")
    url = str(origin.get("url", "iotpipe"))
    if "vcs_info" in origin:
        return f"{origin['vcs_info']['vcs']}+{url}"
    return url.removeprefix("file://")
