"""A consumer of Debezium's messages: what a table has, from the messages of its topic.

It knows nothing of pgflow: the envelope's `op`, `before` and `after`, a tombstone, a numeric as the
bytes of its unscaled value, a timestamp in ISO form."""

import base64
import json


def decimal(text, scale):
    return int.from_bytes(base64.b64decode(text), "big", signed=True) / 10**scale


class Table:
    def __init__(self):
        self.rows = {}
        self.operations = {}

    def take(self, key, value):
        """One message: key and value as JSON; a tombstone has an empty value."""
        if not value:
            return
        envelope = json.loads(value)
        operation = envelope["op"]
        self.operations[operation] = self.operations.get(operation, 0) + 1
        if operation == "d":
            del self.rows[json.loads(key)["id"]]
        else:
            row = envelope["after"]
            self.rows[row["id"]] = [row["customer"], decimal(row["total"], 2), row["ordered"]]
