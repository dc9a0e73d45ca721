/** Messages as lines of JSON over a pipe, checked by a schema on arrival; bounded in both directions. */
import type { Readable, Writable } from "node:stream";
import * as v from "valibot";
import { messageOf } from "../../runtime/operator-error.ts";

/** A longer line is not one of our messages. */
const lineCharactersMax = 4 * 1024 * 1024;
/** Beyond this the other side is no longer reading. */
const waitingBytesMax = 8 * 1024 * 1024;

export interface LineChannelEvents<Message> {
  onMessage(message: Message): void;
  /** The end of the channel. `why`: the error; undefined at an ordinary end. Called once. */
  onEnd(why: string | undefined): void;
}

/** Reads messages of `schema` from `input` until it ends. */
export function readMessages<Schema extends v.GenericSchema>(
  input: Readable,
  schema: Schema,
  events: LineChannelEvents<v.InferOutput<Schema>>,
): void {
  let rest = "";
  let ended = false;
  const onEnded = (why: string | undefined): void => {
    if (ended) return;
    ended = true;
    events.onEnd(why);
  };
  input.setEncoding("utf8");
  input.on("data", (chunk: string) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (ended) return;
      const parsed = parse(line, schema);
      if (parsed.kind === "wrong") return onEnded(parsed.why);
      events.onMessage(parsed.message);
    }
    if (rest.length > lineCharactersMax) onEnded(`a message of more than ${lineCharactersMax} characters`);
  });
  input.on("error", (error) => onEnded(error.message));
  input.on("end", () => onEnded(undefined));
  input.on("close", () => onEnded(undefined));
}

function parse<Schema extends v.GenericSchema>(
  line: string,
  schema: Schema,
): { kind: "ok"; message: v.InferOutput<Schema> } | { kind: "wrong"; why: string } {
  try {
    const result = v.safeParse(schema, JSON.parse(line));
    if (result.success) return { kind: "ok", message: result.output };
    const [issue] = result.issues;
    return { kind: "wrong", why: `a message that is not understood: ${v.getDotPath(issue) ?? ""} ${issue.message}` };
  } catch (error) {
    return { kind: "wrong", why: `a message that is not JSON: ${messageOf(error)}` };
  }
}

/** Returns false if the other side does not read, or is gone; nothing more should be sent to it. */
export function sendMessage(output: Writable, message: object): boolean {
  if (output.destroyed || output.writableEnded) return false;
  output.write(`${JSON.stringify(message)}\n`);
  return output.writableLength <= waitingBytesMax;
}
