"""How to install what the embedded AWS consists of, where iotpipe itself was installed."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import sys
from importlib import metadata
from pathlib import Path


def installed() -> bool:
    """Whether all that the engine consists of is there."""
    return all(importlib.util.find_spec(name) is not None for name in ("ministack", "hypercorn"))


def remedy() -> str:
    """The command that installs it: pip, or the tool that keeps iotpipe in an environment of its own."""
    needed = shlex.quote(_needed())
    environment = Path(sys.prefix)
    if (environment / "pipx_metadata.json").exists():
        command = f"pipx inject iotpipe {needed}"
    elif (environment / "uv-receipt.toml").exists():
        # An install without --with would take it away again.
        command = f"uv tool install --with {needed} {shlex.quote(_source())}"
    else:
        command = f"{shlex.quote(sys.executable)} -m pip install {needed}"
    return f"`{command}` installs it"


def _needed() -> str:
    """What the extra `local` names, since iotpipe itself may be in no index."""
    try:
        wanted = (each.partition(";") for each in metadata.requires("iotpipe") or [])
    except metadata.PackageNotFoundError:  # run from its sources, without ever having been installed
        return "iotpipe[local]"
    return next(each.strip() for each, _, marker in wanted if re.search(r"extra == ['\"]local['\"]", marker))


def _source() -> str:
    """From where iotpipe was installed: a directory, an address or, from an index, its name."""
    told = json.loads(metadata.distribution("iotpipe").read_text("direct_url.json") or "{}")
    address = str(told.get("url", "iotpipe"))
    if "vcs_info" in told:
        return f"{told['vcs_info']['vcs']}+{address}"
    return address.removeprefix("file://")
