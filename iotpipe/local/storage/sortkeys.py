"""Encodes sort keys as bytes in DynamoDB's order, so that the database can select a range of them."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Protocol

_EXACT = Context(prec=60)  # DynamoDB's numbers have 38 digits
_BIAS = 200  # their exponents go from -130 to 125


class Order(Protocol):
    """An order-preserving encoding of a table's sort keys."""

    def encode(self, text: str) -> bytes: ...

    def decode(self, key: bytes) -> str: ...

    def bounds(self, low: str | None, high: str | None) -> tuple[bytes, bytes]:
        """Return the lowest and the highest key from `low` to `high`, both included; None is no bound."""


class Texts:
    """Orders strings by their UTF-8 bytes."""

    def encode(self, text: str) -> bytes:
        # A key may contain a lone surrogate: JSON allows it, and ministack does not check.
        return text.encode("utf-8", "surrogatepass")

    def decode(self, key: bytes) -> str:
        return key.decode("utf-8", "surrogatepass")

    def bounds(self, low: str | None, high: str | None) -> tuple[bytes, bytes]:
        return self.encode(low or ""), b"\xff" if high is None else self.encode(high)


class Numbers:
    """Orders numbers by value.

    A key has sign, exponent and digits, without a zero byte; then a zero byte and the number as it was written.
    """

    def encode(self, text: str) -> bytes:
        return self._value(text) + b"\0" + text.encode()

    def decode(self, key: bytes) -> str:
        return key.partition(b"\0")[2].decode()

    def bounds(self, low: str | None, high: str | None) -> tuple[bytes, bytes]:
        # The same value may be written in several ways.
        return b"" if low is None else self._value(low), b"\xff" if high is None else self._value(high) + b"\0\xff"

    def _value(self, text: str) -> bytes:
        number = Decimal(text).normalize(_EXACT)
        if not number:
            return b"\x80"
        sign, digits, _ = number.as_tuple()
        exponent = divmod(number.adjusted() + _BIAS, 100)
        magnitude = bytes(part + 1 for part in (*exponent, *digits))
        return b"\x40" + bytes(255 - byte for byte in magnitude) + b"\xff" if sign else b"\xc0" + magnitude


TEXTS, NUMBERS = Texts(), Numbers()
