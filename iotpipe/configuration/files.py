"""The files of a configuration directory: list, read, and starter files."""

from __future__ import annotations

import difflib
import json
from importlib import resources
from pathlib import Path

from iotpipe.configuration.formats import NAME
from iotpipe.configuration.problems import shown
from iotpipe.configuration.schema import json_schema
from iotpipe.errors import ConfigurationError, Problem

_STARTER = resources.files("iotpipe.configuration") / "starter"

BUILT_IN = "local"
"""The built-in environment, which needs no file."""


def environments(directory: Path) -> list[str]:
    """The environments that can be loaded from `directory`: those with a file, and `local`, sorted.

    A directory that is not there has no files. Raises ConfigurationError when it cannot be listed.
    """
    try:
        names = [each.stem for each in directory.iterdir() if each.suffix == ".yaml" and each.is_file()]
    except (FileNotFoundError, NotADirectoryError):
        names = []
    except OSError as error:
        raise _error(directory, f"cannot be listed: {error.strerror}") from error
    return sorted({BUILT_IN, *filter(NAME.matches, names)})


def read(name: str, directory: Path) -> bytes:
    """The content of `<name>.yaml`; for the built-in environment without a file, what `iotpipe init` would write.

    Raises ConfigurationError, which names the environments there are.
    """
    if not NAME.matches(name):
        raise _error(
            directory,
            f'"{shown(name)}" names no environment: a name {NAME.expected}',
            _choice(name, directory),
        )
    file = directory / f"{name}.yaml"
    try:
        # Reading a named pipe would block.
        if file.is_fifo():
            raise _error(file, "is a pipe, not a file")
        return file.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        if name == BUILT_IN:
            return (_STARTER / f"{BUILT_IN}.yaml").read_bytes()
        raise _error(file, f"environment {name} has no file", _choice(name, directory)) from error
    except OSError as error:
        raise _error(file, f"cannot be read: {error.strerror}") from error


def starter_files() -> dict[str, str]:
    """The files that `iotpipe init` writes, by name, including the JSON Schema that the YAML files refer to."""
    files = {each.name: each.read_text("utf-8") for each in _STARTER.iterdir() if each.name.endswith(".yaml")}
    return dict(sorted(files.items())) | {"schema.json": json.dumps(json_schema(), indent=2) + "\n"}


def _error(file: Path, message: str, remedy: str = "") -> ConfigurationError:
    return ConfigurationError([Problem(str(file), 0, "", message, remedy)])


def _choice(name: str, directory: Path) -> str:
    """The hint for a missing file of `name`."""
    if NAME.matches(name) and (directory / f"{name}.yml").exists():
        return f"Rename {name}.yml to {name}.yaml"
    there = environments(directory)
    close = difflib.get_close_matches(name.lower(), there, n=1)
    guess = f"Did you mean {close[0]}? " if close else ""
    return f"{guess}Environments there are: {', '.join(there)}. `iotpipe init` writes starter files"
