"""`iotpipe init`: writes starter configurations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from iotpipe.cli import options
from iotpipe.cli.options import Settings
from iotpipe.errors import IotpipeError
from iotpipe.render import output

if TYPE_CHECKING:
    pass


@click.command(epilog="Example:  iotpipe init && $EDITOR config/dev.yaml")
@options.of_environment
@options.as_json
def init(settings: Settings, as_json: bool) -> None:
    """Write starter configurations.

    Never overwrites files.
    """
    from iotpipe.configuration import starter_files

    found: dict[str, list[str]] = {"wrote": [], "kept": []}
    try:
        settings.config_dir.mkdir(parents=True, exist_ok=True)
        for name, text in starter_files().items():
            path = settings.config_dir / name
            done = "wrote" if _written(path, text) else "kept"
            found[done].append(str(path))
            if not as_json:
                output.note(f"{done:<5}  {path}")
    except OSError as error:
        hint = "Name another directory with --config-dir"
        raise IotpipeError(f"cannot write to {settings.config_dir}: {error}", hint) from error
    if as_json:
        output.answer(found)


def _written(path: Path, text: str) -> bool:
    """Write the file unless it exists. Return whether it was written; a failed write leaves no file."""
    try:
        file = path.open("x", encoding="utf-8")
    except FileExistsError:
        return False
    try:
        with file:
            file.write(text)
    except OSError:
        path.unlink()
        raise
    return True
