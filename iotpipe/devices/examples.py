"""Ready-to-run examples that publish a reading as one device."""

from __future__ import annotations

import shlex
from string import Template

from iotpipe.devices.device_names import Device
from iotpipe.devices.endpoint import Endpoint
from iotpipe.names import Names

_MOSQUITTO = """\
#!/bin/sh
# Publishes one reading of $device_id with mosquitto_pub, over MQTT 5 with QoS 1.
cd "$$(dirname "$$0")" && exec mosquitto_pub -V mqttv5 -q 1 -h $host -p $port \\
  --cafile $ca --cert $certificate --key $key \\
  -i $thing_shell -t $topic_shell \\
  -m "{\\"sensor_data\\": {\\"temperature\\": 21.5}, \\"timestamp\\": $$(date +%s)000}"
"""

_PAHO = '''\
"""Publishes one reading of $device_id with paho-mqtt: `pip install paho-mqtt`."""

import json
import time
from pathlib import Path

import paho.mqtt.client as mqtt

FOLDER = Path(__file__).resolve().parent
TOPIC = "$topic"

client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="$thing", protocol=mqtt.MQTTv5)
client.tls_set(ca_certs=FOLDER / "$ca", certfile=FOLDER / "$certificate", keyfile=FOLDER / "$key")
refused = []
client.on_publish = lambda client, data, mid, reason, properties: refused.extend([reason] * reason.is_failure)
client.connect("$host", $port, keepalive=60)
client.loop_start()
reading = {"sensor_data": {"temperature": 21.5}, "timestamp": int(time.time() * 1000)}
# Keep a reading until this QoS 1 message is acknowledged: the client forgets it if the program ends before.
message = client.publish(TOPIC, json.dumps(reading), qos=1)
message.wait_for_publish(timeout=30)
client.disconnect()
client.loop_stop()
if refused or not message.is_published():
    raise SystemExit(f"not accepted: {refused[0] if refused else 'no acknowledgement'}")
'''

_AWSIOT = '''\
"""Publishes one reading of $device_id with the AWS IoT Device SDK: `pip install awsiotsdk`."""

import json
import time
from concurrent.futures import Future
from pathlib import Path

from awscrt import mqtt5
from awsiot import mqtt5_client_builder

FOLDER = Path(__file__).resolve().parent
TOPIC = "$topic"

connected, stopped = Future(), Future()
client = mqtt5_client_builder.mtls_from_path(
    endpoint="$host",
    port=$port,
    cert_filepath=str(FOLDER / "$certificate"),
    pri_key_filepath=str(FOLDER / "$key"),
    ca_filepath=str(FOLDER / "$ca"),
    client_id="$thing",
    on_lifecycle_connection_success=connected.set_result,
    on_lifecycle_connection_failure=lambda failed: connected.set_exception(failed.exception),
    on_lifecycle_stopped=stopped.set_result,
)
client.start()
connected.result(timeout=30)
reading = {"sensor_data": {"temperature": 21.5}, "timestamp": int(time.time() * 1000)}
packet = mqtt5.PublishPacket(topic=TOPIC, payload=json.dumps(reading), qos=mqtt5.QoS.AT_LEAST_ONCE)
# Keep a reading until this QoS 1 message is acknowledged: the client forgets it if the program ends before.
acknowledged = client.publish(packet).result(timeout=30).puback
client.stop()
stopped.result(timeout=30)
if acknowledged.reason_code >= 128:
    raise SystemExit(f"not accepted: {acknowledged.reason_code!r}")
'''

_TEMPLATES = {"publish-mosquitto.sh": _MOSQUITTO, "publish_paho.py": _PAHO, "publish_awsiot.py": _AWSIOT}
FILES = tuple(_TEMPLATES)


def of(names: Names, device: Device, endpoint: Endpoint, *, key: str, certificate: str, ca: str) -> dict[str, str]:
    """The examples by file name. They publish by way of Basic Ingest, and find the named files beside themselves."""
    topic = names.basic_ingest_topic(device.thing)
    values = {
        "device_id": device.device_id,
        "thing": device.thing,
        "thing_shell": shlex.quote(device.thing),
        "topic": topic,
        "topic_shell": shlex.quote(topic),
        "host": endpoint.host,
        "port": endpoint.port,
        "key": key,
        "certificate": certificate,
        "ca": ca,
    }
    return {name: Template(text).substitute(values) for name, text in _TEMPLATES.items()}
