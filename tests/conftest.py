"""What every test finds: credentials that are nobody's, no network but loopback, and a moto without its gaps."""

from __future__ import annotations

import gc
import itertools
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Until all tests are collected, next to nothing becomes garbage: to search for it took a quarter of that time.
gc.set_threshold(50_000, 20, 20)

# A shell has jobs in the background ignore Ctrl-C. What the tests start would inherit that, and they press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_USERS = dict(os.environ)
for name in [name for name in os.environ if name.startswith(("AWS_", "IOTPIPE_"))]:
    del os.environ[name]
os.environ.update(
    AWS_ACCESS_KEY_ID="testing",
    AWS_SECRET_ACCESS_KEY="testing",
    AWS_DEFAULT_REGION="us-east-1",
    AWS_EC2_METADATA_DISABLED="true",
    AWS_CONFIG_FILE=os.devnull,
    AWS_SHARED_CREDENTIALS_FILE=os.devnull,
    # awsiotsdk, which only tests need, brings awscrt with it. botocore would sign with it, as for none of our users.
    BOTO_DISABLE_CRT="true",
)

from tests.support import case_samples  # noqa: E402 - as the next ones
from tests.support.forked_commands import ForkedCommands, forked_commands  # noqa: E402 - as the next ones
from tests.support.memoized_aws import be_quick, collect_seldom  # noqa: E402 - moto reads the environment when it is imported
from tests.support.moto_gaps import close_gaps  # noqa: E402 - moto reads the environment when it is imported

close_gaps()
be_quick()

# The same examples everywhere, and as much time for each as it needs: Hypothesis does that by itself where CI is set.
settings.register_profile("sampled", derandomize=True, database=None, deadline=None, max_examples=30)
settings.register_profile("whole", settings.get_profile("sampled"), max_examples=1000)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cases", type=int, help="of each parametrized test, run at most so many cases, evenly spread")
    parser.addoption("--whole", action="store_true", help="run every case of sampled tests, and 1000 examples, not 30")


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("whole" if config.getoption("--whole") else "sampled")
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        _stay_on_one_processor(int(worker.removeprefix("gw")), int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))


def _stay_on_one_processor(worker: int, workers: int) -> None:
    """Each of the last workers has a processor of its own; the first ones, if there are more, have them all.

    Only one thread of a Python process runs at a time. Where the next one wakes up on another processor, that takes
    longer, and what is in the caches is not there: the tests of `up` take up to a sixth less time on one.
    """
    if sys.platform == "linux":
        processors = sorted(os.sched_getaffinity(0))
        more = workers - len(processors)
        if worker >= more:
            os.sched_setaffinity(0, {processors[(worker - more) % len(processors)]})


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if "cloud" in getattr(item, "fixturenames", ()):
            item.add_marker("server")
    collected = list(items)
    if not config.getoption("--whole"):
        items[:] = case_samples.sampled(items)
    if most := config.getoption("--cases"):
        items[:] = case_samples.evenly_spread(items, most)
    kept = set(items)
    config.hook.pytest_deselected(items=[each for each in collected if each not in kept])
    items[:] = _in_shares(items, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


def _in_shares(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """In as many shares as there are workers, which get one each, and start with the files marked `together`.

    What waits for the AWS on this machine is in the first share, so that only one worker waits at a time, and comes
    first: a worker that has nothing left takes tests from the end of another's share.
    """
    files = [list(each) for _, each in itertools.groupby(items, key=lambda item: item.path)]
    shares: list[list[pytest.Item]] = [[] for _ in range(workers)]

    def marked(file: list[pytest.Item], mark: str) -> bool:
        return file[0].get_closest_marker(mark) is not None

    for file in sorted(files, key=lambda file: (not marked(file, "embedded"), not marked(file, "together"))):
        share = shares[0] if marked(file, "embedded") else min(shares, key=len)
        share.extend(file)
    return [item for share in shares for item in share]


def pytest_collection_finish() -> None:
    """Everything is imported by now."""
    collect_seldom()


@pytest.fixture(scope="session")
def users_environment() -> dict[str, str]:
    """The environment as it was before the credentials in it became nobody's."""
    return dict(_USERS)


@pytest.fixture(scope="session")
def forked() -> Iterator[ForkedCommands]:
    """Where commands run that need not start Python: those of all tests but the ones marked `subprocess`."""
    with forked_commands() as commands:
        yield commands


@pytest.fixture
def config_dir() -> Path:
    """The configurations that the repository ships."""
    return Path(__file__).parents[1] / "config"
