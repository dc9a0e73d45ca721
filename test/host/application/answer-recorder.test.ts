import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import type { RequestOutcome } from "../../../src/core/request-outcome.ts";
import { recorderOf } from "../../../src/host/application/answer-recorder.ts";
import type { Handover } from "../../../src/host/application/handover.ts";
import type { ResponseHead } from "../../../src/http/message/head.ts";
import { HeaderList } from "../../../src/http/message/headers.ts";

const bodyBytesMax = 4;
const head = { status: 200, reason: "OK", headers: HeaderList.from([["X-A", "1"]]) } as unknown as ResponseHead;
const trailers = HeaderList.from([["X-Sum", "9"]]);

/** What is kept of an answer that arrives in these pieces. */
function kept(pieces: readonly string[], after?: HeaderList): RequestOutcome | undefined {
  let found: RequestOutcome | undefined;
  const handover = {
    names: { limits: { keepMs: 1, bodyBytesMax } },
    isExecuting: () => true,
    answered: (_request: object, outcome: RequestOutcome) => (found = outcome),
  } as unknown as Handover;
  const recorder = recorderOf(handover, {}, head);
  for (const piece of pieces) recorder?.onBody(Buffer.from(`<${piece}>`), 1, piece.length + 1);
  recorder?.onComplete(after);
  return found;
}

const hashed = (text: string): unknown => ({
  ...{ kind: "answered", status: 200, bodyBytes: text.length },
  sha256: createHash("sha256").update(text).digest("hex"),
});

test("an answer as long as is allowed is kept whole", () => {
  expect(kept(["ab", "cd"])).toEqual({
    ...{ kind: "whole", status: 200, reason: "OK", fields: "X-A: 1\r\n", body: Buffer.from("abcd") },
  });
});

test("of a longer one, and of one with trailers, the length and the hash of all of it are kept", () => {
  expect(kept(["ab", "cde", "f"])).toEqual(hashed("abcdef") as RequestOutcome);
  expect(kept(["ab"], trailers)).toEqual(hashed("ab") as RequestOutcome);
  expect(kept(["ab", "cde"], trailers)).toEqual(hashed("abcde") as RequestOutcome);
});
