"""AWS's rules bite: without iotpipe's answer to each of them, something fails that the user would notice."""

from __future__ import annotations

from pathlib import Path

import pytest
from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data

from iotpipe.errors import ApplyFailed
from iotpipe.provision import retry_rules
from iotpipe.provision.retry_rules import RULES
from iotpipe.provision.retry_schedule import Rule
from tests.support.aws_rules.scenes import ELSEWHERE, SCENES, Scene

ROOT = Path(__file__).parents[2]


def name(rule: Rule) -> str:
    return f"{rule.operations[0] if rule.operations else '*'} {rule.codes[0]} {rule.message}".strip()


ROWS = {name(rule): rule for rule in RULES}


def test_every_row_of_the_retry_table_has_its_scene_or_its_reason() -> None:
    assert len(ROWS) == len(RULES), "each row has a name of its own"
    assert sorted(ROWS) == sorted([*(scene.row for scene in SCENES), *ELSEWHERE])
    assert all((ROOT / test).exists() for _, test in ELSEWHERE.values())


@pytest.mark.sampled(6)
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.row)
def test_a_row_of_the_retry_table_is_missed_when_it_is_gone(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule, (first, second) = ROWS[scene.row], (tmp_path / "with", tmp_path / "without")
    first.mkdir(), second.mkdir()
    assert rule.reason in scene.play(first)
    BackendDict.reset()
    reset_model_data()
    monkeypatch.setattr(retry_rules, "RULES", tuple(each for each in RULES if each is not rule))
    if scene.covered:
        assert rule.reason not in scene.play(second)
    else:
        with pytest.raises(ApplyFailed):
            scene.play(second)
