"""Reads what RawReader prints with the SDK of CloudEvents: its binding for Kafka, which finds out
by itself which mode a message has. Prints a JSON object an event."""

import base64
import json
import sys

from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event

for line in sys.stdin.read().splitlines():
    headers, key, value = line.split("\t")
    if value == "-":  # A tombstone.
        continue
    message = KafkaMessage(
        headers={name: base64.b64decode(text) for name, text in json.loads(headers).items()},
        key=base64.b64decode(key), value=base64.b64decode(value))
    event = from_kafka_event(message)
    print(json.dumps({"type": event.get_type(), "subject": event.get_subject(),
                      "id": event.get_id(), "data": event.get_data()}))
