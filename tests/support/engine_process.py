"""One command of the engine in a process of its own, against the AWS that AWS_ENDPOINT_URL names.

    python -m tests.support.engine_process up|down DIRECTORY

The directory holds dev.yaml and the state file.
"""

from __future__ import annotations

import sys
from pathlib import Path

from iotpipe.configuration import load
from iotpipe.packaging import handler_zip
from iotpipe.pipeline import Artifacts, pipeline
from iotpipe.provision import apply, teardown
from iotpipe.provision.aws import connect
from iotpipe.provision.ledger import Ledger, path_of
from iotpipe.provision.lock import locked
from iotpipe.provision.plan import plan
from iotpipe.provision.run import Run
from tests.support.engine_world import StandInLayer


def main() -> None:
    command, directory = sys.argv[1], Path(sys.argv[2])
    env = load("dev", directory)
    run = Run(connect(None, "us-east-1", None), "dev", command=command, tags=env.tags)
    path = path_of(directory, "dev")
    with locked(path, command, "now"):
        ledger = Ledger(path, "dev", run.aws.account, run.aws.region, run.clock.now)
        if command == "down":
            teardown.down(run, ledger, teardown.examine(run, ledger.rows, [], True), apply.PARALLEL)
        else:
            handlers = {name: handler_zip(name) for name in ("ingestion", "processor", "query")}
            resources = pipeline(env, Artifacts(handlers, StandInLayer()), "us-east-1")
            apply.up(resources, plan(resources, run, ledger.rows), run, ledger)


if __name__ == "__main__":
    main()
