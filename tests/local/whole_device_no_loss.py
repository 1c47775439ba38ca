"""A kill of the embedded AWS loses no acknowledged reading but those since its last save: `make matrix` prints it."""

from __future__ import annotations

import pytest

from tests.support.local_machine import Machine
from tests.support.no_loss import device_senders

pytestmark = [pytest.mark.embedded, pytest.mark.matrix]


def test_a_kill_costs_nothing_but_what_was_acknowledged_since_the_last_save(up: Machine) -> None:
    figures = device_senders.run(up, connections=50, readings=20_000)
    print(figures)
    assert figures.readings == 20_000
    assert figures.acknowledged_before_the_last_save > 0
    assert figures.sent_again > 0
    assert figures.lost_of_those_before_the_last_save == figures.lost_of_those_after_the_kill == 0
    assert (figures.twice, figures.never_sent, figures.dead_letters) == (0, 0, 0)
