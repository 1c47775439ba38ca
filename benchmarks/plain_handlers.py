"""The handlers as one writes them first: what benchmarks/handlers.py compares iotpipe's with.

Everything is patched and every client made when the module is imported; each reading is one PutItem and one
SendMessage, each record one PutItem. Floats become decimals, without which nothing would be stored at all.
"""

from __future__ import annotations

import json
import os
import time
from decimal import Decimal
from typing import Any

import boto3
from aws_xray_sdk.core import patch_all

patch_all()

dynamodb = boto3.resource("dynamodb")
sqs = boto3.client("sqs")
sns = boto3.client("sns")
ssm = boto3.client("ssm")


def ingest(event: dict[str, Any], context: Any) -> dict[str, Any]:
    table = dynamodb.Table(os.environ["RAW_TABLE_NAME"])
    body = json.loads(event["body"], parse_float=Decimal)
    for reading in body.get("readings", [body]):
        item = {
            "device_id": reading["device_id"],
            "timestamp": int(time.time() * 1000),
            "sensor_data": reading["sensor_data"],
        }
        table.put_item(Item=item)
        sqs.send_message(QueueUrl=os.environ["QUEUE_URL"], MessageBody=json.dumps(item, default=str))
    return {"statusCode": 200, "body": json.dumps({"message": "Data ingested successfully"})}


def process(event: dict[str, Any], context: Any) -> dict[str, Any]:
    table = dynamodb.Table(os.environ["PROCESSED_TABLE_NAME"])
    for record in event["Records"]:
        message = json.loads(record["body"], parse_float=Decimal)
        celsius = Decimal(message["sensor_data"]["temperature"])
        item = {
            "device_id": message["device_id"],
            "event_date": time.strftime("%Y-%m-%d"),
            "temperature_celsius": celsius,
            "temperature_fahrenheit": celsius * 9 / 5 + 32,
            "sensor_data": message["sensor_data"],
        }
        table.put_item(Item=item)
    return {"statusCode": 200, "body": json.dumps({"processed": len(event["Records"])})}
