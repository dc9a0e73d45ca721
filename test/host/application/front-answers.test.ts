import { expect, test } from "bun:test";
import { answerBefore } from "../../../src/host/application/front-answers.ts";
import type { Exchange, LocalReply } from "../../../src/http/upstream/exchange.ts";
import { CancellationGroup } from "../../../src/runtime/cancellation-group.ts";

test("a recorded answer is repeated without what was about the connection that it came on, or is the server's", async () => {
  const replies: LocalReply[] = [];
  const exchange = {
    hasResponseStarted: false,
    respond: (reply: LocalReply) => Promise.resolve(void replies.push(reply)),
  } as unknown as Exchange;
  const lines = [
    ...["Date: Mon, 30 Nov 2026 20:00:00 GMT", "Set-Cookie: a=1", "set-cookie: b=2", "Content-Length: 2"],
    ...["Connection: keep-alive, X-Hop", "X-Hop: 1", "Keep-Alive: timeout=5", "Transfer-Encoding: chunked"],
    ...["Trailer: X-Sum", "Stead-Checkpoint: now", "Location: /notes/7"],
  ];
  await answerBefore(exchange, new CancellationGroup(), {
    kind: "recorded",
    outcome: {
      ...{ kind: "whole", status: 201, reason: "Created", body: Buffer.from("ok") },
      fields: lines.map((line) => `${line}\r\n`).join(""),
    },
  });
  expect(replies).toEqual([
    {
      ...{ status: 201, reason: "Created", body: Buffer.from("ok") },
      headers: [
        ["Set-Cookie", "a=1"],
        ["set-cookie", "b=2"],
        ["Location", "/notes/7"],
        ["Stead-Outcome", "recorded"],
      ],
    },
  ]);
});
