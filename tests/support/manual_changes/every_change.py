"""All changes by hand of the whole pipeline that the tests know, with what a plan says of each."""

from __future__ import annotations

from tests.support.manual_changes.additions import ADDITIONS
from tests.support.manual_changes.code_drift import CODE_DRIFTS
from tests.support.manual_changes.data_drift import DRIFTS
from tests.support.manual_changes.deletions import DELETIONS
from tests.support.manual_changes.ignored import IGNORED
from tests.support.manual_changes.refused import REFUSALS

CHANGES = (*DRIFTS, *CODE_DRIFTS, *DELETIONS, *REFUSALS, *ADDITIONS, *IGNORED)
