"""Fetch the layer's pinned wheels with pip, for another platform than this machine's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from iotpipe.errors import PackagingError
from iotpipe.packaging.lambda_target import Target

REQUIREMENTS = Path(__file__).with_name("requirements.txt")

# These options would change what is fetched. The user's mirrors, proxies and certificates remain in effect.
_NOT_OURS = {"PIP_CONSTRAINT", "PIP_REQUIREMENT"}

# A text in pip's output → remedy. The first match counts: a failed connection also ends in "no matching".
_REMEDIES = (
    ("No module named pip", "Install pip into the environment that iotpipe runs in"),
    (
        "DO NOT MATCH THE HASHES",
        "The package index serves files that differ from the pinned ones: do not use it",
    ),
    ("Retrying (", "Check the network and the proxy; a layer that was built before needs neither"),
    ("No matching distribution", "Check that pip reaches its index or mirror, and that it has these versions"),
)


def pins() -> list[str]:
    """The pinned requirements, each with its hashes; comments and line breaks are removed."""
    text = re.sub(r"(?m)^#.*$", "", REQUIREMENTS.read_text(encoding="utf-8")).replace("\\\n", "")
    return sorted(" ".join(line.split()) for line in text.splitlines() if line.strip())


def fetch(target: Target) -> list[bytes]:
    """Fetch the pinned wheels for the target; pip verifies their hashes.

    They are only downloaded, and read by us: an installation would leave traces of this machine, and settings
    like `user = true` would get in its way. Raises PackagingError with pip's own last lines.
    """
    with tempfile.TemporaryDirectory(prefix="iotpipe-") as directory:
        _run_pip(target, directory)
        return [wheel.read_bytes() for wheel in sorted(Path(directory).glob("*.whl"))]


def _run_pip(target: Target, directory: str) -> None:
    # -P: do not import a pip.py of the current directory.
    command = [sys.executable, "-P", "-m", "pip", "download", "--quiet", "--no-input"]
    command += ["--disable-pip-version-check", "--require-hashes", "--no-deps", "--only-binary=:all:"]
    command += ["--implementation=cp", f"--python-version={target.python}", f"--abi={target.abi}"]
    command += ["--abi=abi3", "--abi=none", *(f"--platform={platform}" for platform in target.platforms)]
    command += [f"--dest={directory}", f"--requirement={REQUIREMENTS}"]
    done = subprocess.run(command, env=_environment(), text=True, capture_output=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise _failure(target, done.returncode, done.stdout + done.stderr)


def _environment() -> dict[str, str]:
    # Nothing is installed, so no virtual environment is required.
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
    return kept | {"PIP_REQUIRE_VIRTUALENV": "0"}


def _failure(target: Target, status: int, output: str) -> PackagingError:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    said = "\n".join(f"  {line}" for line in lines[-6:])
    remedy = next((remedy for sign, remedy in _REMEDIES if sign in output), "pip's own messages are above")
    return PackagingError(
        f"cannot fetch the layer's wheels for {target.runtime} on {target.architecture}:\n{said}\n"
        f"pip ended with status {status}",
        remedy,
    )
