/**
 * The codec against llhttp: a message that we accept, llhttp must accept, and read the same. We may refuse more than
 * llhttp does, since the codec is stricter on purpose. Usage: `bun test/http/fuzz/differential.ts [inputs]
 * [first seed]`, default a million; needs `node`.
 */
import { Buffer } from "node:buffer";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { generate } from "./generate.ts";
import { readAll, type Message, type Reading } from "./read-all.ts";

interface Trusted {
  readonly messages: Message[];
  readonly end: string;
}

export interface FuzzResult {
  readonly inputs: number;
  readonly messages: number;
  readonly refusedByUs: number;
  /** Inputs on which the two differ, with what each says. */
  readonly differences: string[];
}

/** Why `ours` and `trusted` cannot both be right, or undefined. */
export function difference(ours: Reading, trusted: Trusted): string | undefined {
  // llhttp knows only registered methods; another method is not ambiguous.
  if (trusted.end === "HPE_INVALID_METHOD" && ours.messages.length >= trusted.messages.length) {
    return difference(
      { messages: ours.messages.slice(0, trusted.messages.length), end: "ok" },
      { ...trusted, end: "ok" },
    );
  }
  for (const [i, message] of ours.messages.entries()) {
    const other = trusted.messages[i];
    if (other === undefined) {
      // A tunnel may begin here: it stops before the message is complete.
      if (trusted.end === "upgrade" && i === ours.messages.length - 1) return undefined;
      return `message ${i + 1} is accepted by us only (trusted: ${trusted.end})`;
    }
    if (JSON.stringify(message) !== JSON.stringify(other)) return `message ${i + 1} is read differently`;
  }
  return undefined;
}

export async function differential(inputs: number, firstSeed: number): Promise<FuzzResult> {
  const child = spawn("node", ["--no-deprecation", new URL("llhttp-child.cjs", import.meta.url).pathname], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const differences: string[] = [];
  let messages = 0;
  let refusedByUs = 0;
  const batchSize = 2_000;
  for (let seed = firstSeed; seed < firstSeed + inputs; seed += batchSize) {
    const batch = Array.from({ length: Math.min(batchSize, firstSeed + inputs - seed) }, (_, i) => generate(seed + i));
    const frames: Buffer[] = [];
    for (const { kind, text } of batch) {
      const bytes = Buffer.from(text, "latin1");
      const head = Buffer.alloc(5);
      head[0] = kind;
      head.writeUInt32LE(bytes.length, 1);
      frames.push(head, bytes);
    }
    child.stdin.write(Buffer.concat(frames));
    for (const [i, { kind, text }] of batch.entries()) {
      const ours = readAll(kind, Buffer.from(text, "latin1"));
      const line = await answers.next();
      if (line.done === true) throw new Error("the trusted parser has ended");
      const trusted = JSON.parse(line.value) as Trusted;
      messages += ours.messages.length;
      if (ours.end.startsWith("error")) refusedByUs++;
      const why = difference(ours, trusted);
      if (why !== undefined)
        differences.push(
          `seed ${seed + i} kind ${kind}: ${why}\n  input   ${JSON.stringify(text)}\n  ours    ${JSON.stringify(ours)}\n  trusted ${JSON.stringify(trusted)}`,
        );
    }
  }
  child.stdin.end();
  return { inputs, messages, refusedByUs, differences };
}

if (import.meta.main) {
  const result = await differential(Number(process.argv[2] ?? 1_000_000), Number(process.argv[3] ?? 1));
  for (const found of result.differences.slice(0, 20)) console.log(found);
  console.log(JSON.stringify({ ...result, differences: result.differences.length }));
  process.exitCode = result.differences.length === 0 ? 0 : 1;
}
