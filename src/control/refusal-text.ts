/**
 * Why a server refuses a caller, from the body of its answer. Only of a server that has proven who it is by its
 * certificate: others must not choose what an operator reads.
 */
import type { IncomingMessage } from "node:http";
import * as v from "valibot";
import { refusedSchema } from "./refused.ts";

const bytesMax = 16 * 1024;
const textLengthMax = 500;

/** Resolves with what was found and what is accepted; undefined: the body says nothing. Never rejects. */
export async function readRefusalText(response: IncomingMessage): Promise<string | undefined> {
  const parts: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const part of response as AsyncIterable<Buffer>) {
      parts.push(part);
      bytes += part.length;
      if (bytes > bytesMax) return undefined;
    }
    const read = v.safeParse(refusedSchema, JSON.parse(Buffer.concat(parts).toString("utf8")) as unknown);
    if (!read.success) return undefined;
    const { error, accepted } = read.output;
    return `${error}${accepted === undefined ? "" : `; accepted: ${accepted}`}`.slice(0, textLengthMax);
  } catch {
    return undefined;
  }
}
