"""Sort keys as bytes that are in DynamoDB's order, so that the database finds a range of them."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Protocol

_EXACT = Context(prec=60)  # DynamoDB's numbers have 38 digits
_BIAS = 200  # their exponents go from -130 to 125


class Order(Protocol):
    """How the sort keys of a table are ordered."""

    def encode(self, text: str) -> bytes: ...

    def decode(self, key: bytes) -> str: ...

    def bounds(self, low: str | None, high: str | None) -> tuple[bytes, bytes]:
        """The least and the greatest key from `low` up to `high`, both included; None for no bound."""


class Texts:
    """By UTF-8 bytes."""

    def encode(self, text: str) -> bytes:
        # A key may hold half of a surrogate pair: JSON allows it, and ministack does not look.
        return text.encode("utf-8", "surrogatepass")

    def decode(self, key: bytes) -> str:
        return key.decode("utf-8", "surrogatepass")

    def bounds(self, low: str | None, high: str | None) -> tuple[bytes, bytes]:
        return self.encode(low or ""), b"\xff" if high is None else self.encode(high)


class Numbers:
    """By value: sign, exponent and digits, none of which is a zero byte; then one, and the number as it was written."""

    def encode(self, text: str) -> bytes:
        return self._value(text) + b"\0" + text.encode()

    def decode(self, key: bytes) -> str:
        return key.partition(b"\0")[2].decode()

    def bounds(self, low: str | None, high: str | None) -> tuple[bytes, bytes]:
        # The same value may be written in another way.
        return b"" if low is None else self._value(low), b"\xff" if high is None else self._value(high) + b"\0\xff"

    def _value(self, text: str) -> bytes:
        number = Decimal(text).normalize(_EXACT)
        if not number:
            return b"\x80"
        sign, digits, _ = number.as_tuple()
        exponent = divmod(number.adjusted() + _BIAS, 100)
        size = bytes(each + 1 for each in (*exponent, *digits))
        return b"\x40" + bytes(255 - each for each in size) + b"\xff" if sign else b"\xc0" + size


TEXTS, NUMBERS = Texts(), Numbers()
