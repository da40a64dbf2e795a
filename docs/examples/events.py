#!/usr/bin/env python3
"""Reads messages of the exchange telegram.events, schema telegram.event/1 (docs/schema/telegram-event.v1.json).

Here they come from standard input, a body a line. With a client library the same two calls go into its callback:

    # pip install pika
    channel.queue_declare("app.news", durable=True, arguments={"x-queue-type": "quorum", "x-max-length": 1_000_000})
    channel.queue_bind("app.news", "telegram.events", "posted.*")      # routing key <kind>.<peer_id>
    def on_message(channel, method, properties, body):
        event = decode(body)
        if seen.is_new(event):
            print(describe(event))
        channel.basic_ack(method.delivery_tag)                          # after the work is done, never before
    channel.basic_consume("app.news", on_message)

After a long absence: telegram-gateway republish --queue app.news --from <last seq + 1>
(such messages have the header `replayed`).
"""

import json
import sys


def decode(body):
    """The event of a body. Members that are not there are null, false or empty."""
    event = json.loads(body)
    if event["schema"] != "telegram.event/1":
        raise ValueError(f"not a schema this program knows: {event['schema']}")
    return event


class Seen:
    """Delivery is at least once; (log_id, epoch, seq) names an event. A real program keeps this with its results."""

    def __init__(self):
        self.names = set()

    def is_new(self, event):
        name = (event["log_id"], event["epoch"], event["seq"])
        if name in self.names:
            return False
        self.names.add(name)
        return True


def describe(event):
    """One line: number, what happened, where, and what of the message."""
    message = event.get("message", {})
    parts = [str(event["seq"]), event["kind"], f"{event.get('peer_id', 0)}/{event.get('message_id', 0)}"]
    for name in ("posted_at", "edited_at", "deleted_at", "grouped_id", "media_kind", "views"):
        if name in message:
            parts.append(f"{name}={message[name]}")
    if "text" in message:
        # Offsets of entities count UTF-16 code units, so cut there and not in a Python string.
        units = message["text"].encode("utf-16-le")
        for it in message.get("entities", []):
            if it["type"] == "text_link":
                link = units[2 * it["offset"] : 2 * (it["offset"] + it["length"])].decode("utf-16-le")
                parts.append(f"link={json.dumps(link, ensure_ascii=False)}->{it['url']}")
        parts.append(f"text={json.dumps(message['text'], ensure_ascii=False)}")
    return " ".join(parts)


if __name__ == "__main__":
    sys.stdin.reconfigure(encoding="utf-8")
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    seen = Seen()
    for line in sys.stdin:
        event = decode(line)
        if seen.is_new(event):
            print(describe(event))
