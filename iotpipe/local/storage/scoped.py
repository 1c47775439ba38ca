"""A replacement for ministack's dictionaries of tables, queues and log groups."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from ministack.core.responses import AccountRegionScopedDict


class ConvertingScopedDict(AccountRegionScopedDict):  # type: ignore[misc]  # ministack has no types
    """ministack's dictionary by account and region, which converts each value that is put into it."""

    __slots__ = ("_convert",)

    def __init__(self, convert: Callable[[Any], Any]) -> None:
        super().__init__()
        self._convert = convert

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, self._convert(value))

    def set_scoped(self, account_id: str, region: str, key: Any, value: Any) -> None:
        super().set_scoped(account_id, region, key, self._convert(value))

    def setdefault(self, key: Any, default: Any = None) -> Any:
        return super().setdefault(key, self._convert(default))

    def update(self, other: Any) -> None:
        super().update(other)
        for key, value in self._data.items():
            self._data[key] = self._convert(value)

    def __deepcopy__(self, memo: Any) -> Any:
        copied = AccountRegionScopedDict()
        copied._data = {key: copy.deepcopy(value, memo) for key, value in list(self._data.items())}
        return copied
