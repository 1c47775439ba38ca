"""`iotpipe query --follow`: prints rows as they are stored."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from iotpipe.errors import Interrupted
from iotpipe.render import output

if TYPE_CHECKING:
    from iotpipe.cli.query_options import Asked
    from iotpipe.cli.session import Session
    from iotpipe.readings.api_client import Api, Parameters
    from iotpipe.readings.stored_rows import Row


def follow(session: Session, api: Api, parameters: Parameters, asked: Asked, now: float) -> int:
    """Print a line per row until Ctrl-C; return the exit code."""
    from iotpipe.cli.session import interruptible
    from iotpipe.readings import follow
    from iotpipe.render import console
    from iotpipe.render.query import as_json_line, as_line

    kept = {name: value for name, value in parameters.items() if name in ("table", "metric")}
    since = str(parameters["from"]) if "from" in parameters else None
    followers = [follow.Follower(api, {**kept, "device_id": device}, since) for device in asked.devices]
    widest = max(len(output.harmless(device)) for device in asked.devices)
    out = console.stdout()

    def show(rows: Iterable[Row]) -> None:
        for row in rows:
            if asked.as_json:
                output.say(as_json_line(row))
            else:
                out.line(*as_line(row, widest))

    try:
        with interruptible(session.stop):
            show(follow.beginning(followers, now))
            output.note("waiting for new rows; Ctrl-C ends it")
            show(follow.follow(followers, session.run.clock.now, session.run.pause))
    except (KeyboardInterrupt, Interrupted):
        return 130
    return 0
