"""What the server of the page answers, and what it does when the pipeline cannot be read."""

from __future__ import annotations

import json
from pathlib import Path

from iotpipe.errors import UsageError
from iotpipe.view.files import page_files
from iotpipe.view.server import Server
from tests.support.view_world import NOT_REACHED, Pipeline, served
from tests.view.test_guard import JSON, ask, opened


def test_every_file_of_the_page_is_served_as_what_it_is(server: Server) -> None:
    types = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".txt": "text/plain"}
    for path, file in page_files().items():
        status, told, body = ask(server, "GET", path)
        assert (status, body) == (200, file.content)
        assert told["Content-Type"] == f"{types[Path(path).suffix or '.html']}; charset=utf-8"


def test_what_cannot_be_read_is_told_with_its_hint(server: Server, pipeline: Pipeline) -> None:
    key = opened(server)
    pipeline.failure = NOT_REACHED
    for path in ("/api/snapshot", "/api/devices", "/api/rows?device=sensor-001"):
        status, _, body = ask(server, "GET", path, [key])
        assert (status, json.loads(body)) == (502, {"error": NOT_REACHED.message, "hint": NOT_REACHED.hint})
    pipeline.failure = UsageError("every is not a period", "Give 5m")
    assert ask(server, "POST", "/api/dead-letters", [key, *JSON], b"{}")[0] == 400


def test_a_bug_is_told_in_the_terminal_and_the_page_goes_on(pipeline: Pipeline) -> None:
    told: list[str] = []
    with served(pipeline, tell=told.append) as server:
        key = opened(server)
        pipeline.failure = KeyError("forgotten")
        assert ask(server, "GET", "/api/snapshot", [key])[0] == 500
        assert "KeyError: 'forgotten'" in told[0]
        pipeline.failure = None
        assert ask(server, "GET", "/api/snapshot", [key])[0] == 200


def test_a_snapshot_is_told_as_often_as_the_user_wants(pipeline: Pipeline) -> None:
    with served(pipeline, every=30) as server:
        assert json.loads(ask(server, "GET", "/api/snapshot", [opened(server)])[2])["every"] == 30


def test_dead_letters_are_looked_at_only_by_a_post(server: Server, pipeline: Pipeline) -> None:
    key = opened(server)
    for path in page_files():
        ask(server, "GET", path, [key])
    ask(server, "GET", "/api/dead-letters", [key])
    assert "dead letters" not in pipeline.asked
    status, _, body = ask(server, "POST", "/api/dead-letters", [key, *JSON], b"{}")
    assert (status, json.loads(body)["total"]) == (200, 3)
