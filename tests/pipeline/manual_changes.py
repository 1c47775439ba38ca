"""All changes by hand of the whole pipeline that the tests know, with what a plan says of each."""

from __future__ import annotations

from manual_additions import ADDITIONS
from manual_deletions import DELETIONS
from manual_drifts import DRIFTS
from manual_drifts_of_code import CODE_DRIFTS
from manual_ignored import IGNORED
from manual_refusals import REFUSALS

CHANGES = (*DRIFTS, *CODE_DRIFTS, *DELETIONS, *REFUSALS, *ADDITIONS, *IGNORED)
