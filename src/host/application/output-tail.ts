/**
 * The end of an application's output, for operators: bounded, without control characters, and without our secrets.
 *
 * More bytes are kept than shown, so that a secret cut by the first bound lies before the second one.
 */
import type { OutputSink } from "./watcher.ts";

const keptBytesMax = 16_384;
const shownCharactersMax = 1_000;
/** Redacting a shorter secret would redact ordinary words; none of ours is shorter. */
const secretCharactersMin = 8;

export class OutputTail implements OutputSink {
  readonly ended: Promise<void>;
  readonly #secrets: readonly string[];
  #kept: Buffer = Buffer.alloc(0);
  #close: () => void;

  constructor(secrets: readonly string[]) {
    this.#secrets = secrets.filter((secret) => secret.length >= secretCharactersMin);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#close = resolve;
  }

  take(bytes: Uint8Array): void {
    this.#kept = Buffer.concat([this.#kept, bytes.subarray(-keptBytesMax)]).subarray(-keptBytesMax);
  }

  close(): void {
    this.#close();
  }

  /** Returns its last lines, whole ones if they are short; empty: it wrote nothing. */
  get text(): string {
    let text = this.#kept.toString("utf8");
    for (const secret of this.#secrets) text = text.replaceAll(secret, "[secret]");
    const plain = text
      .replace(escapes, "")
      .replace(/\r\n?/g, "\n")
      .replace(/[^\P{Cc}\n\t]/gu, "?")
      .trim();
    if (plain.length <= shownCharactersMax) return plain;
    const shown = plain.slice(-shownCharactersMax);
    const line = shown.indexOf("\n");
    return `… ${line >= 0 && line < shownCharactersMax / 2 ? shown.slice(line + 1) : shown}`;
  }
}

/** Colours and the like (ECMA-48, control sequences). */
const escapes = /\u001b\[[0-?]*[ -/]*[@-~]/g;
