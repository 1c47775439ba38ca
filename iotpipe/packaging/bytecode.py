"""Compile bytecode for the layer, if this machine has an interpreter of the layer's Python version."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from iotpipe.errors import PackagingError

_PROGRAM = Path(__file__).with_name("compile_sources.py")
_ALONE = ["-P", "-s", "-S", "-W", "ignore"]  # nothing but the standard library, from nowhere else
# A pre-release has another bytecode magic number than Lambda's release, a free-threaded build another tag.
_WHO_ARE_YOU = "import sys; print(sys.version_info.releaselevel, sys.implementation.cache_tag, sys.executable)"


def find_interpreter(python: str) -> str | None:
    """The path of a working interpreter of this version ("3.13"), or None.

    Looks at the running one, PATH, what uv knows, and pyenv's versions, in this order.
    """
    return next(filter(None, (_verified(each, python) for each in _candidates(python))), None)


def bytecode_of(files: Mapping[str, bytes], interpreter: str, python: str) -> dict[str, bytes]:
    """Path in the layer → .pyc for every source in `files`; sources that do not compile are left out.

    The same sources give the same bytes each time. Tracebacks will name the places on Lambda, /opt/….
    """
    sources = {path: content for path, content in files.items() if path.endswith(".py")}
    request = {f"/opt/{path}": base64.b64encode(source).decode() for path, source in sources.items()}
    command = [interpreter, *_ALONE, str(_PROGRAM)]
    done = subprocess.run(command, input=json.dumps(request), **_plainly())
    if done.returncode:
        why = done.stderr.strip().rpartition("\n")[2]
        raise PackagingError(
            f"cannot compile the layer's modules with {interpreter}: {why}",
            "Repair or remove that interpreter",
        )
    answer = json.loads(done.stdout)
    return {
        _compiled_path(path, python): base64.b64decode(answer[f"/opt/{path}"])
        for path in sources
        if f"/opt/{path}" in answer
    }


def _compiled_path(source: str, python: str) -> str:
    path = PurePosixPath(source)
    return str(path.parent / "__pycache__" / f"{path.stem}.{_cache_tag(python)}.pyc")


def _cache_tag(python: str) -> str:
    return "cpython-" + python.replace(".", "")


def _candidates(python: str) -> Iterator[str]:
    if sys.version_info[:2] == tuple(int(part) for part in python.split(".")):
        yield sys.executable
    if on_path := shutil.which(f"python{python}", path=_path()):
        yield on_path
    if uv := shutil.which("uv", path=_path()):
        # Without these options it would run code from the .venv of the current directory.
        yield _answer([uv, "python", "find", "--system", "--no-project", python])
    pyenv = Path(os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv"))
    yield from map(str, sorted(pyenv.glob(f"versions/{python}.*/bin/python{python}"), reverse=True))


def _path() -> str:
    """PATH without empty and relative entries, which depend on the current directory."""
    return os.pathsep.join(filter(os.path.isabs, os.get_exec_path()))


def _verified(candidate: str, python: str) -> str:
    """The real path of `candidate`; empty if it does not run, such as a pyenv shim without a version."""
    expected = f"final {_cache_tag(python)} "
    answer = _answer([candidate, *_ALONE, "-c", _WHO_ARE_YOU])
    return answer.removeprefix(expected) if answer.startswith(expected) else ""


def _answer(command: list[str]) -> str:
    """The command's output; empty if it fails, times out or does not exist."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, timeout=20, **_plainly())
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "" if done.returncode else done.stdout.strip()


def _plainly() -> dict[str, Any]:
    """How to run a child process independently of the user's Python settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "PATH": _path()}
    return {"env": environment, "capture_output": True, "encoding": "utf-8"}
