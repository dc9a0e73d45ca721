/**
 * The answering side of the channel (transcript.ts has the argument): judges the credentials of a request from its head
 * alone, and seals the answer. It keeps the nonces of its window, by its own monotonic clock; a request of another run,
 * or outside the window, is answered with this run and clock, and not executed.
 */
import { randomBytes } from "node:crypto";
import type { Clock } from "../../runtime/clock.ts";
import { answerCode, requestCode, requestWords } from "./client.ts";
import { frameKey, FrameWriter } from "./frames.ts";
import type { Keyring, Key } from "./keyring.ts";
import type { StrangerLog } from "./stranger-log.ts";
import {
  coveredFields,
  bodyDigest,
  formatWords,
  isMeant,
  isSame,
  parseParty,
  parseWords,
  type Party,
  partyText,
  scheme,
} from "./transcript.ts";

/** How long a request may take from being signed to its arrival. */
const windowMs = 30_000;
/** A client's idea of this clock is behind it, but for the drift of two clocks. */
const aheadMsMax = 5_000;
/** Far more than a cluster sends within the window; beyond it the window gets shorter. */
const noncesMax = 100_000;

export interface IncomingCall {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly authorization: string;
  readonly fields: Iterable<readonly [string, string]>;
}

export type Credentials =
  /** No credentials of the channel. */
  | { readonly kind: "none" }
  | { readonly kind: "refused"; readonly why: string }
  /** The secret is right, and the call is not executed: answer 401 with this field. */
  | { readonly kind: "again"; readonly field: string }
  | { readonly kind: "accepted"; readonly call: AcceptedCall };

export interface AcceptedCall {
  readonly caller: Party;
  /** Call before the body is believed. */
  isBody(body: Uint8Array): boolean;
  /** Returns the field with the proof for this head, and the writer of its body. */
  seal(status: number, contentType: string | undefined): { readonly field: string; readonly frames: FrameWriter };
}

export class ChannelServer {
  readonly #keyring: Keyring;
  readonly #self: Party;
  readonly #clock: Clock;
  readonly #run = randomBytes(12).toString("base64url");
  /** Nonces with the clock of their request, in order of arrival. */
  readonly #nonces = new Map<string, number>();
  /** Requests of this moment or earlier are outside the window: their nonces may be forgotten. */
  #forgottenMs = -Infinity;

  readonly #strangers: StrangerLog | undefined;

  /** `strangers` is told of calls under a secret that the keyring does not have. */
  constructor(keyring: Keyring, self: Party, clock: Clock, strangers?: StrangerLog) {
    this.#strangers = strangers;
    this.#keyring = keyring;
    this.#self = self;
    this.#clock = clock;
  }

  judge(call: IncomingCall): Credentials {
    if (!call.authorization.startsWith(`${scheme} `)) return { kind: "none" };
    const words = parseWords(call.authorization.slice(scheme.length + 1), [...requestWords, "code"] as const);
    if (words === undefined) return { kind: "refused", why: "the credentials are malformed" };
    const { cluster } = this.#keyring;
    const key = this.#keyring.find(words.key);
    if (words.cluster !== cluster) return { kind: "refused", why: `of cluster "${words.cluster.slice(0, 64)}"` };
    if (key === undefined) return { kind: "refused", why: this.#ofAnother(words) };
    if (!isSame(words.code, requestCode(key, words, call))) return { kind: "refused", why: "the code is wrong" };
    const [caller, asked] = [parseParty(words.from), parseParty(words.to)];
    if (caller === undefined || asked === undefined) return { kind: "refused", why: "no such role" };
    const sent = { key, requestCode: words.code };
    if (!isMeant(asked, this.#self) || !this.#isFresh(words.run, Number(words.clock)))
      return { kind: "again", field: this.#prove(sent, "again", 401, "") };
    if (!this.#isNew(words.nonce, Number(words.clock))) return { kind: "refused", why: "a repetition" };
    return {
      kind: "accepted",
      call: {
        caller,
        isBody: (body) => isSame(words.body, bodyDigest(body)),
        seal: (status, contentType) => {
          const covered = coveredFields(contentType === undefined ? [] : [["content-type", contentType]]);
          const field = this.#prove(sent, "answer", status, covered);
          const code = field.slice(field.lastIndexOf("=") + 1);
          return { field, frames: new FrameWriter(frameKey(key.answer, code)) };
        },
      },
    };
  }

  #prove(
    sent: { readonly key: Key; readonly requestCode: string },
    kind: string,
    status: number,
    covered: string,
  ): string {
    const words = { kind, from: partyText(this.#self), run: this.#run, clock: String(Math.floor(this.#clock.now())) };
    const prefers = this.#keyring.keys[0]?.id ?? sent.key.id;
    return formatWords({ ...words, prefers, code: answerCode(sent, words, this.#keyring.cluster, status, covered) });
  }

  #ofAnother(words: { readonly key: string; readonly from: string }): string {
    this.#strangers?.refused(words);
    return "of another secret";
  }

  #isFresh(run: string, clockMs: number): boolean {
    const now = this.#clock.now();
    return run === this.#run && clockMs > Math.max(now - windowMs, this.#forgottenMs) && clockMs <= now + aheadMsMax;
  }

  /** Keeps a nonce until its request is outside the window. */
  #isNew(nonce: string, clockMs: number): boolean {
    if (this.#nonces.has(nonce)) return false;
    const now = this.#clock.now();
    for (const [old, oldMs] of this.#nonces) {
      const isOutside = oldMs <= now - windowMs;
      if (!isOutside && this.#nonces.size < noncesMax) break;
      if (!isOutside) this.#forgottenMs = Math.max(this.#forgottenMs, oldMs);
      this.#nonces.delete(old);
    }
    this.#nonces.set(nonce, clockMs);
    return true;
  }
}
