"""How long `up` and `down` would take on AWS, and what they wait for: an estimate in virtual time.

    python -m tests.support.aws_rules.wall_time

Each call takes 0.2 s, and AWS its usual time for everything else (see Delays); the machine itself takes none.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    import tests.conftest  # noqa: F401 - credentials that are nobody's, and a moto without its gaps

from moto import mock_aws

from tests.support.aws_rules.delays import Delays
from tests.support.aws_rules.world import account, environment, without_seconds
from tests.support.pipeline_world import declare
from tests.support.virtual_time import Slept, longest_chain

SETTINGS = {"alerts": {"emails": ["on-call@example.com"]}}


@dataclass(frozen=True)
class Estimate:
    """One command: its seconds, its calls, and the chain of waits that its end had to wait for."""

    command: str
    seconds: float
    calls: int
    refusals: int
    began: float
    chain: Sequence[Slept]

    def lines(self) -> list[str]:
        """The chain step by step: what was done about one resource, from when on, how long, and with what."""
        head = f"{self.command}: {self.seconds:.1f} s, {self.calls} calls, {self.refusals} of them refused"
        steps = itertools.groupby(self.chain, key=lambda each: each.doing)
        return [head, *(self._step(doing, list(rests)) for doing, rests in steps)]

    def _step(self, doing: str, rests: list[Slept]) -> str:
        length = sum(each.end - each.begin for each in rests)
        spent: dict[str, list[float]] = {}
        for each in rests:
            spent.setdefault(without_seconds(each.why), []).append(each.end - each.begin)
        parts = "; ".join(f"{why} {sum(lengths):.1f}" for why, lengths in spent.items())
        return f"  at {rests[0].begin - self.began:4.1f} s, {length:4.1f} s: {doing} ({parts})"


def estimates(directory: Path, delays: Delays) -> list[Estimate]:
    """`up` from nothing, `up` and `plan` with nothing to do, `down`, and `up` directly after it, in turn."""
    declared = declare(directory, SETTINGS)
    found = []
    with account(delays) as reality:
        world = environment(reality, directory)
        # Somebody reads what the command says before typing the next one.
        for name, rest, command in _commands(world, declared):
            reality.time.sleep(rest)
            began, calls, refusals = reality.time.now(), len(reality.calls), len(reality.refusals)
            command()
            chain = longest_chain(reality.time, began)
            seconds = reality.time.now() - began
            made, refused = len(reality.calls) - calls, len(reality.refusals) - refusals
            found.append(Estimate(name, seconds, made, refused, began, chain))
    return found


def _commands(world: Any, declared: Any) -> list[tuple[str, float, Callable[[], Any]]]:
    return [
        ("up from nothing", 0, lambda: world.bring_up(declared)),
        ("up with nothing to do", 60, lambda: world.bring_up(declared)),
        ("plan, and what others added", 60, lambda: world.look_around(declared)),
        ("down, tables kept", 60, world.down),
        ("up at once after it", 0, lambda: world.bring_up(declared)),
        ("down --delete-data", 60, lambda: world.down(delete_data=True)),
        ("up at once after it", 0, lambda: world.bring_up(declared)),
    ]


if __name__ == "__main__":
    with mock_aws(), tempfile.TemporaryDirectory() as place:
        for each in estimates(Path(place), Delays()):
            print("\n".join(each.lines()))
