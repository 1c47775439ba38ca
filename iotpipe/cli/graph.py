"""`iotpipe graph`: draws the dependency graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from iotpipe.cli import options
from iotpipe.cli.options import Settings
from iotpipe.render import output

if TYPE_CHECKING:
    pass


@click.command(epilog="Example:  iotpipe graph --format svg > pipeline.svg")
@options.of_environment
@click.option(
    "--format", "how", type=click.Choice(["tree", "mermaid", "dot", "svg"]), default="tree", show_default=True
)
@options.as_json
def graph(settings: Settings, how: str, as_json: bool) -> None:
    """Draw the dependency graph of the resources.

    Does not call AWS.
    """
    from iotpipe.cli.session import undeployed
    from iotpipe.render.graph import draw

    resources = undeployed(settings)
    if as_json:
        output.answer({each.address: [need.address for need in each.needs()] for each in resources})
    else:
        output.document(draw(resources, how))
