"""Exact count, minimum, maximum, sum, mean and last value of numbers."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal

from iotpipe.handlers.attributes import canonical_number

NAMES = ("count", "min", "max", "sum", "mean", "last")
"""The members of an aggregate in an answer, in the order of `texts`."""

# DynamoDB's numbers are between 1E-130 and 9.9E+125 and have 38 digits: any sum of them is exact with these digits.
_EXACT = Context(prec=400)
_MEAN_DIGITS = Context(prec=17)


@dataclass(slots=True)
class Aggregate:
    """What the numbers seen so far have in common; the sum is exact."""

    count: int
    lowest: Decimal
    highest: Decimal
    total: Decimal
    last: Decimal

    @classmethod
    def of(cls, value: Decimal) -> Aggregate:
        """Return the aggregate of one number."""
        return cls(1, value, value, value, value)

    def add(self, value: Decimal) -> None:
        """Take in another number, without making it the last one."""
        self.count += 1
        if value < self.lowest:
            self.lowest = value
        elif value > self.highest:
            self.highest = value
        self.total = _EXACT.add(self.total, value)

    def texts(self) -> list[str]:
        """Return the members as JSON numbers: the sum rounded to 38 digits, the mean to 17, both half to even."""
        mean = _MEAN_DIGITS.divide(self.total, self.count)
        numbers = (self.lowest, self.highest, self.total, mean, self.last)
        return [str(self.count), *map(canonical_number, numbers)]
