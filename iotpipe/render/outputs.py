"""What `iotpipe outputs` and `iotpipe up` print of an environment that is up."""

from __future__ import annotations

from collections.abc import Mapping

from iotpipe.render import console, output


def show_outputs(found: Mapping[str, str], as_json: bool) -> None:
    """The outputs on stdout."""
    if as_json:
        output.answer(dict(found))
        return
    width = max(map(len, found), default=0)
    out = console.stdout()
    for name, value in found.items():
        out.line((f"{name:<{width}}", "bold"), f"  {value}")
