"""A pipeline that answers from memory, and the server of its page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from iotpipe.view.server import Server
from tests.support import view_world
from tests.support.view_world import Pipeline


@pytest.fixture
def pipeline(config_dir: Path) -> Pipeline:
    return view_world.pipeline(config_dir)


@pytest.fixture
def server(pipeline: Pipeline) -> Iterator[Server]:
    with view_world.served(pipeline) as server:
        yield server
