#!/usr/bin/env node
// Reads messages of the exchange telegram.events, schema telegram.event/1 (docs/schema/telegram-event.v1.json).
//
// Here they come from standard input, a body a line. With a client library the same two calls go into its callback:
//
//   // npm install amqplib
//   await channel.assertQueue("app.news", { durable: true, arguments: { "x-queue-type": "quorum", "x-max-length": 1000000 } });
//   await channel.bindQueue("app.news", "telegram.events", "posted.*");   // routing key <kind>.<peer_id>
//   await channel.consume("app.news", (delivery) => {
//     const event = decode(delivery.content.toString("utf8"));
//     if (seen.isNew(event)) console.log(describe(event));
//     channel.ack(delivery);                                              // after the work is done, never before
//   });
//
// After a long absence: telegram-gateway republish --queue app.news --from <last seq + 1>
// (such messages have the header `replayed`).

import { createInterface } from "node:readline";

// The event of a body. Members that are not there are null, false or empty. Some ids (grouped_id) have 64 bits, more than
// a number of JavaScript holds: integers of 16 digits and more become strings.
export function decode(body) {
  const safe = body.replace(/"(?:[^"\\]|\\.)*"|-?\d{16,}(?![\d.eE])/g, (token) => (token[0] === '"' ? token : `"${token}"`));
  const event = JSON.parse(safe);
  if (event.schema !== "telegram.event/1") throw new Error(`not a schema this program knows: ${event.schema}`);
  return event;
}

// Delivery is at least once; (log_id, epoch, seq) names an event. A real program keeps this with its results.
export class Seen {
  #names = new Set();

  isNew(event) {
    const name = `${event.log_id}/${event.epoch}/${event.seq}`;
    if (this.#names.has(name)) return false;
    this.#names.add(name);
    return true;
  }
}

// One line: number, what happened, where, and what of the message.
export function describe(event) {
  const message = event.message ?? {};
  const parts = [`${event.seq}`, event.kind, `${event.peer_id ?? 0}/${event.message_id ?? 0}`];
  for (const name of ["posted_at", "edited_at", "deleted_at", "grouped_id", "media_kind", "views"]) {
    if (name in message) parts.push(`${name}=${message[name]}`);
  }
  if ("text" in message) {
    // Offsets of entities count UTF-16 code units, as JavaScript does.
    for (const it of message.entities ?? []) {
      if (it.type === "text_link") {
        const link = message.text.slice(it.offset, it.offset + it.length);
        parts.push(`link=${JSON.stringify(link)}->${it.url}`);
      }
    }
    parts.push(`text=${JSON.stringify(message.text)}`);
  }
  return parts.join(" ");
}

const seen = new Seen();
for await (const line of createInterface({ input: process.stdin })) {
  const event = decode(line);
  if (seen.isNew(event)) console.log(describe(event));
}
