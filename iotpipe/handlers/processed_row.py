"""Builds the rows of the processed table from queue messages."""

from __future__ import annotations

from decimal import Context, Decimal

from iotpipe.handlers.attributes import Item, encode
from iotpipe.handlers.queue_message import Message
from iotpipe.handlers.readings import MAIN_METRICS
from iotpipe.handlers.tables import Row

_DIGITS = Context(prec=38)


def fahrenheit(celsius: Decimal) -> Decimal:
    """Convert exactly, or rounded to 38 digits, which is DynamoDB's limit."""
    return _DIGITS.fma(celsius, Decimal("1.8"), Decimal(32))


def processed(message: Message, processed_at: str) -> Row:
    """Return a message's row; metrics other than the main ones stay in `sensor_data`."""
    others, text = encode({name: value for name, value in message.metrics.items() if name not in MAIN_METRICS})
    item: Item = {
        "device_id": {"S": message.device_id},
        "event_date": {"S": message.event_date},
        "timestamp": {"N": str(message.timestamp)},
        "sensor_data": others,
        "received_at": {"S": message.received_at},
        "processed_at": {"S": processed_at},
        "status": {"S": "processed"},
    }
    if message.reading_id is not None:
        item["reading_id"] = {"S": message.reading_id}
    item |= {name: encode(message.metrics[name])[0] for name in MAIN_METRICS if name in message.metrics}
    if "temperature" in item:
        item["temperature_celsius"] = item["temperature"]
        item["temperature_fahrenheit"] = encode(fahrenheit(message.metrics["temperature"]))[0]
    return Row(item, "event_date", len(text))
