"""`iotpipe graph`: draws the data flow or the dependencies of the resources."""

from __future__ import annotations

import click

from iotpipe.cli import options
from iotpipe.cli.options import Settings
from iotpipe.render import output

FORMATS = ("text", "svg", "mermaid", "dot")


@click.command(epilog="Example:  iotpipe graph --format svg > pipeline.svg")
@options.of_environment
@click.option(
    "--what",
    type=click.Choice(["flow", "dependencies"]),
    default="flow",
    show_default=True,
    help="How data flows through the pipeline, or which resource needs which.",
)
@click.option("--format", "how", type=click.Choice(FORMATS), default="text", show_default=True)
@options.as_json
def graph(settings: Settings, what: str, how: str, as_json: bool) -> None:
    """Draw how data flows through the pipeline.

    Does not call AWS.
    """
    if what == "flow":
        _flow(settings, how, as_json)
    else:
        _dependencies(settings, how, as_json)


def _flow(settings: Settings, how: str, as_json: bool) -> None:
    from iotpipe.cli.session import undeployed
    from iotpipe.pipeline.flow import flow
    from iotpipe.render import flow as render
    from iotpipe.render.flow_picture import as_svg

    drawn = flow(undeployed(settings))
    if as_json:
        output.answer(render.as_json(drawn))
    elif how == "text":
        render.show(drawn)
    elif how == "svg":
        output.document(as_svg(drawn, settings.environment))
    else:
        output.document({"mermaid": render.as_mermaid, "dot": render.as_dot}[how](drawn))


def _dependencies(settings: Settings, how: str, as_json: bool) -> None:
    from iotpipe.cli.session import undeployed
    from iotpipe.render.graph import draw

    resources = undeployed(settings)
    if as_json:
        output.answer({each.address: [need.address for need in each.needs()] for each in resources})
    else:
        output.document(draw(resources, how))
