"""How near provisioning comes to what AWS forces: `python benchmarks/provisioning.py` prints the tables.

Every call to AWS (moto, in this process) is held up by LATENCY seconds. The floor of a command is the longest chain
of calls that AWS forces, times that latency: the identity of the caller, then

- to create: one read, because only a read tells that there is nothing yet, then along the resources' own graph
  (`Resource.needs`) the calls of CREATE, the writes to one REST API one after the other;
- with nothing to do: the calls of READ, of which only those are a chain that need the answer of the one before;
- to delete: the two calls that tell whether a thing is there and whose it is, because AWS deletes whatever bears the
  name; then the calls of DELETE along the same graph in reverse, where what AWS deletes with its parent costs nothing;
  then one search for what still bears the environment's tags.

Measured is the engine as the command uses it, with its clients, its ledger and its disk writes, without Python's start
and without packaging. "One by one" is the same command with one call at a time, really run.
"""

from __future__ import annotations

import itertools
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
os.environ.update(AWS_ACCESS_KEY_ID="testing", AWS_SECRET_ACCESS_KEY="testing", AWS_EC2_METADATA_DISABLED="true")

import boto3  # noqa: E402 - botocore reads the environment
from harness import declared  # noqa: E402
from moto import mock_aws  # noqa: E402
from moto_gaps import close_gaps  # noqa: E402

from iotpipe.checks import preflight  # noqa: E402
from iotpipe.provision import apply, ledger, parallel_reads, teardown  # noqa: E402
from iotpipe.provision.aws import Aws, connect  # noqa: E402
from iotpipe.provision.resource import Properties, Recorded, Resource  # noqa: E402
from iotpipe.provision.resources import SERVICES  # noqa: E402
from iotpipe.provision.run import Run  # noqa: E402

LATENCY = 0.2
SYNTHETIC = 1000

# Calls in a row that AWS forces, per kind.
CREATE = {
    "table": 3,  # CreateTable, DescribeTable until it is active, UpdateContinuousBackups
    "role": 2,  # CreateRole, PutRolePolicy
    "log-group": 2,  # CreateLogGroup, PutRetentionPolicy
    "function": 2,  # CreateFunction, PutFunctionConcurrency
    "route": 3,  # CreateResource, PutMethod, PutIntegration
    "stage": 3,  # CreateDeployment, CreateStage, UpdateStage: the method settings are no part of CreateStage
    "api-gateway-account": 3,  # CreateRole, PutRolePolicy, UpdateAccount
}
READ = {
    "route": 2,  # GetRestApis, GetResources
    "stage": 3,  # GetRestApis, GetStages, GetDeployments
    "event-source-mapping": 2,  # ListEventSourceMappings, ListTags
    "role": 2,  # ListRolePolicies, GetRolePolicy
    "layer": 1,
}
DELETE = {"role": 2}  # DeleteRolePolicy, DeleteRole


def longest(needs: Mapping[str, Sequence[str]], cost: Callable[[str], int]) -> int:
    """The cost of the dearest path; `needs` has each node after those it needs."""
    total: dict[str, int] = {}
    for node in needs:
        total[node] = cost(node) + max((total[need] for need in needs[node]), default=0)
    return max(total.values())


def forced(table: Mapping[str, int]) -> Callable[[str], int]:
    return lambda address: table.get(address.split("/")[0], 1)


def floor_of_up(resources: Sequence[Resource]) -> int:
    needs = {each.address: [need.address for need in each.needs()] for each in resources}
    routes = [address for address in needs if address.startswith("route/")]
    for before, after in itertools.pairwise(routes):
        needs[after].append(before)
    return 2 + longest(needs, forced(CREATE))


def floor_of_nothing(resources: Sequence[Resource]) -> int:
    return 1 + max(forced(READ)(each.address) for each in resources)


def floor_of_down(resources: Sequence[Resource]) -> int:
    going = [each for each in resources if not (each.inside or each.shared)]
    needed_by: dict[str, list[str]] = {each.address: [] for each in reversed(going)}
    for each in going:
        for need in each.needs():
            needed_by[need.address].append(each.address)
    return 1 + 2 + longest(needed_by, forced(DELETE)) + 1


# The engine under latency


@dataclass
class Bench:
    """One environment on moto, every call held up by `latency` and counted."""

    directory: Path
    resources: Sequence[Resource]
    tags: Mapping[str, str]
    latency: float
    parallel: int = apply.PARALLEL
    calls: int = 0

    def connect(self) -> Aws:
        self.calls = 0
        with patch.object(boto3, "Session", self._session):
            aws = connect(None, "us-east-1", None, services=SERVICES)
        aws.eventually_consistent = False  # nor does moto keep anybody waiting
        return aws

    def _session(self, **settings: Any) -> Any:
        session = boto3.session.Session(**settings)
        session.events.register_first("before-send", self._hold)
        return session

    def _hold(self, **kwargs: Any) -> None:
        self.calls += 1
        time.sleep(self.latency)

    def _begin(self, command: str) -> tuple[Run, ledger.Ledger]:
        run = Run(self.connect(), "dev", command=command, tags=self.tags)
        path = self.directory / "dev.json"
        return run, ledger.Ledger(path, "dev", run.aws.account, run.aws.region, time.time)

    def plan(self) -> None:
        run, book = self._begin("plan")
        preflight.planned(self.resources, run, book.rows)

    def up(self) -> None:
        run, book = self._begin("up")
        steps, _ = preflight.planned(self.resources, run, book.rows)
        apply.up(self.resources, steps, run, book, parallel=self.parallel)

    def down(self) -> None:
        run, book = self._begin("down")
        teardown.down(run, book, teardown.examine(run, book.rows, self.resources, True), self.parallel)


@contextmanager
def one_by_one() -> Iterator[None]:
    before, parallel_reads.READERS = parallel_reads.READERS, 1
    try:
        yield
    finally:
        parallel_reads.READERS = before


def timed(action: Callable[[], None]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def commands(bench: Bench) -> dict[str, tuple[int, float]]:
    found = {}
    for name, action in (
        ("up from nothing", bench.up),
        ("up, nothing to do", bench.up),
        ("plan, nothing to do", bench.plan),
        ("down --delete-data", bench.down),
    ):
        wall = timed(action)
        found[name] = (bench.calls, wall)
    return found


def provisioning() -> None:
    resources, tags = declared(ROOT / "config")
    nothing = floor_of_nothing(resources)
    floors = [floor_of_up(resources), nothing, nothing, floor_of_down(resources)]
    targets = (1.25, 2.0, 2.0, 1.5)
    with mock_aws():
        for _ in range(2):  # moto's first calls import half of it
            commands(Bench(Path(tempfile.mkdtemp()), resources, tags, 0))
        # Whatever else the machine does can only add to a wall time.
        runs = [commands(Bench(Path(tempfile.mkdtemp()), resources, tags, LATENCY)) for _ in range(3)]
        quick = {name: min((run[name] for run in runs), key=lambda found: found[1]) for name in runs[0]}
        with one_by_one():
            slow = commands(Bench(Path(tempfile.mkdtemp()), resources, tags, LATENCY, parallel=1))
    print(
        f"{len(resources)} resources, {LATENCY * 1000:.0f} ms per call, {apply.PARALLEL} at once, best of {len(runs)}"
    )
    print(f"{'':22}{'calls':>6}{'floor':>9}{'wall':>9}{'ratio':>8}{'target':>8}{'one by one':>12}")
    for (name, (calls, wall)), floor, target in zip(quick.items(), floors, targets, strict=True):
        least = floor * LATENCY
        ratio, one = wall / least, slow[name][1]
        print(f"{name:22}{calls:>6}{least:>7.1f} s{wall:>7.2f} s{ratio:>8.2f}{target:>8.2f}{one:>10.1f} s")


# The engine alone


@dataclass(frozen=True, eq=False)
class Synthetic(Resource):
    """A resource of a cloud that answers at once."""

    kind: ClassVar[str] = "synthetic"
    cloud: ClassVar[dict[str, Properties]] = {}

    uses: Sequence[Resource] = field(default=())

    def desired(self, run: Run) -> Properties:
        return {"Name": self.name, "Size": 1, "Settings": {"a": 1, "b": [1, 2]}, "Tags": run.all_tags}

    def read(self, run: Run) -> Properties | None:
        return self.cloud.get(self.name)

    def create(self, run: Run, desired: Properties) -> Properties:
        self.cloud[self.name] = desired
        return {}

    @classmethod
    def delete(cls, run: Run, recorded: Recorded) -> None:
        cls.cloud.pop(recorded.name, None)

    @classmethod
    def tags(cls, run: Run, recorded: Recorded) -> dict[str, str] | None:
        found = cls.cloud.get(recorded.name)
        return found["Tags"] if found else None


def engine() -> None:
    seeded, made = random.Random(1), []
    for number in range(SYNTHETIC):
        uses = seeded.sample(made, min(len(made), seeded.randint(0, 3)))
        made.append(Synthetic(f"r{number}", uses))
    with mock_aws():
        bench = Bench(Path(tempfile.mkdtemp()), made, {}, 0)
        print(f"\nCPU per resource on a synthetic graph of {SYNTHETIC:,}, ledger included")
        for name, action in (("up from nothing", bench.up), ("up, nothing to do", bench.up), ("down", bench.down)):
            began = time.process_time()
            action()
            print(f"{name:22}{(time.process_time() - began) * 1000 / SYNTHETIC:>7.2f} ms   target 2 ms")


def start() -> None:
    def median(command: list[str]) -> float:
        def once() -> None:
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

        return statistics.median(timed(once) for _ in range(15)) * 1000

    bare = median([sys.executable, "-c", "pass"])
    helped = median([str(Path(sys.executable).with_name("iotpipe")), "--help"])
    print(f"\npython -c pass {bare:.0f} ms, iotpipe --help {helped:.0f} ms: {helped / bare:.1f} times")


if __name__ == "__main__":
    close_gaps()
    provisioning()
    engine()
    start()
