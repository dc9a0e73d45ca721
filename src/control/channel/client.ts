/**
 * The calling side of the channel (transcript.ts has the argument): signs requests, and verifies that answers are from
 * the server that was meant. It remembers of each server its run and its clock, so that all calls but the first need no
 * extra round trip.
 */
import { randomBytes } from "node:crypto";
import type { Clock } from "../../runtime/clock.ts";
import type { SecureCalls } from "./secure-calls.ts";
import { FrameReader, frameKey } from "./frames.ts";
import { Keyring, type Key } from "./keyring.ts";
import {
  answerField,
  codeOf,
  coveredFields,
  bodyDigest,
  formatWords,
  isMeant,
  isSame,
  operator,
  parseParty,
  parseWords,
  type Party,
  partyText,
  scheme,
} from "./transcript.ts";

export interface OutgoingCall {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  /** All fields that are sent; what the code does not cover is ignored. */
  readonly fields: Readonly<Record<string, string>>;
  readonly body: Uint8Array | undefined;
}

export type Verdict =
  /** From the server that was meant: its body is read through `frames`. */
  | { readonly kind: "answer"; readonly frames: FrameReader }
  /** Not executed: sign the call again, and send it again. */
  | { readonly kind: "again" }
  | { readonly kind: "unauthorized"; readonly message: string }
  | { readonly kind: "invalid"; readonly message: string };

export interface SignedCall {
  /** The value of `Authorization`. */
  readonly authorization: string;
  judge(status: number, fields: Readonly<Partial<Record<string, string | string[]>>>): Verdict;
}

/** Once for each secret, once more for a server that has not been met in this run. */
export const triesMax = 4;
const contactsMax = 1_000;

export class ChannelClient {
  readonly #keyring: Keyring;
  readonly #self: Party;
  readonly #clock: Clock;
  readonly #contacts = new Map<string, Contact>();
  /** Calls are made over TLS, to who has the certificate of the meant server. Undefined: in clear text. */
  readonly tls: SecureCalls | undefined;

  constructor(keyring: Keyring, self: Party, clock: Clock, tls?: SecureCalls) {
    this.tls = tls;
    this.#keyring = keyring;
    this.#self = self;
    this.#clock = clock;
  }

  /** The channel of an operator who has the cluster's secret, or several while it is rotated. */
  static ofOperator(secret: string | readonly string[], clock: Clock, tls?: SecureCalls): ChannelClient {
    return new ChannelClient(new Keyring([secret].flat()), operator, clock, tls);
  }

  /** The server at a base URL, which must be `to`. */
  contact(url: string, to: Party): Contact {
    const name = `${url} ${partyText(to)}`;
    let contact = this.#contacts.get(name);
    if (contact === undefined) {
      const [oldest] = this.#contacts.keys();
      if (this.#contacts.size >= contactsMax && oldest !== undefined) this.#contacts.delete(oldest);
      contact = new Contact({ keyring: this.#keyring, self: this.#self, to, url, clock: this.#clock });
      this.#contacts.set(name, contact);
    }
    return contact;
  }
}

interface ContactOptions {
  readonly keyring: Keyring;
  readonly self: Party;
  readonly to: Party;
  readonly url: string;
  readonly clock: Clock;
}

const answerWords = ["kind", "from", "run", "clock", "code"] as const;
type AnswerWords = Readonly<Record<(typeof answerWords)[number], string>>;

export class Contact {
  readonly #options: ContactOptions;
  /** What the server said of its run and clock, and when by our own clock. */
  #met: { readonly run: string; readonly clockMs: number; readonly at: number } | undefined;
  /** Keys that the server did not take, of `#keys`, since it took one. */
  #refused = new Set<string>();
  #keys: readonly Key[] = [];
  /** The key of `#keys` under which the server has proven itself last. */
  #taken: string | undefined;
  /** The key that the server would take first, as it says; unproven, and of use only if it is one of `#keys`. */
  #preferred: string | undefined;

  constructor(options: ContactOptions) {
    this.#options = options;
  }

  sign(call: OutgoingCall): SignedCall {
    const { keyring, self, to, clock } = this.#options;
    const key = this.#pickKey();
    const met = this.#met;
    const words = {
      key: key.id,
      cluster: keyring.cluster,
      from: partyText(self),
      to: partyText(to),
      run: met?.run ?? "-",
      clock: String(met === undefined ? 0 : Math.floor(met.clockMs + clock.now() - met.at)),
      nonce: randomBytes(16).toString("base64url"),
      body: bodyDigest(call.body ?? ""),
    };
    const code = requestCode(key, words, { ...call, fields: Object.entries(call.fields) });
    return {
      authorization: `${scheme} ${formatWords({ ...words, code })}`,
      judge: (status, fields) => this.#judge(status, fields, { key, requestCode: code }),
    };
  }

  #pickKey(): Key {
    const { keys } = this.#options.keyring;
    if (keys !== this.#keys) {
      this.#keys = keys;
      this.#refused = new Set();
      if (!keys.some(({ id }) => id === this.#taken)) this.#taken = undefined;
    }
    const usable = keys.filter(({ id }) => !this.#refused.has(id));
    const named = (name: string | undefined): Key | undefined => usable.find(({ id }) => id === name);
    const key = named(this.#preferred) ?? named(this.#taken) ?? usable[0] ?? keys[0];
    if (key === undefined) throw new Error("a keyring without keys");
    return key;
  }

  #judge(
    status: number,
    fields: Readonly<Partial<Record<string, string | string[]>>>,
    sent: { readonly key: Key; readonly requestCode: string },
  ): Verdict {
    const { url, to, keyring, clock } = this.#options;
    const field = fields[answerField];
    const words = typeof field === "string" ? parseWords(field, answerWords) : undefined;
    const type = fields["content-type"];
    // Of `again` only the words count.
    const isAnswer = typeof type === "string" && words?.kind !== "again";
    const covered = coveredFields(isAnswer ? [["content-type", type]] : []);
    if (words === undefined || !isSame(words.code, answerCode(sent, words, keyring.cluster, status, covered)))
      return status === 401 ? this.#refusedKey(sent.key) : { kind: "invalid", message: unproven(url) };
    const from = parseParty(words.from);
    if (from === undefined || !isMeant(to, from))
      return { kind: "invalid", message: `${url} is ${words.from}, not ${partyText(to)}` };
    this.#taken = sent.key.id;
    this.#preferred = typeof field === "string" ? parseWords(field, ["prefers"])?.prefers : undefined;
    this.#met = { run: words.run, clockMs: Number(words.clock), at: clock.now() };
    if (words.kind === "again") return { kind: "again" };
    return { kind: "answer", frames: new FrameReader(frameKey(sent.key.answer, words.code)) };
  }

  #refusedKey({ id }: Key): Verdict {
    // What it refused before it took this one may be what it knows now: the secret is rotated.
    if (id === this.#taken && !this.#refused.has(id)) this.#refused = new Set();
    this.#refused.add(id);
    if (this.#keys.some((key) => !this.#refused.has(key.id))) return { kind: "again" };
    this.#refused = new Set();
    // A refusal proves nothing: a listener at a dead host's port must not keep it alive by refusing.
    if (this.#taken !== undefined)
      return {
        kind: "invalid",
        message: `${unproven(this.#options.url)}; if it is that process, its secret is another one, and its log names the file`,
      };
    return { kind: "unauthorized", message: "the cluster secret was not accepted, or it is of another cluster" };
  }
}

const unproven = (url: string): string =>
  `what answers at ${url} does not prove that it has the cluster secret: it is not believed`;

/** The words of a request that its code covers, besides the request itself. */
export const requestWords = ["key", "cluster", "from", "to", "run", "clock", "nonce", "body"] as const;
export type RequestWords = Readonly<Record<(typeof requestWords)[number], string>>;

export const requestCode = (
  key: Key,
  words: RequestWords,
  call: Pick<OutgoingCall, "method" | "path"> & { readonly fields: Iterable<readonly [string, string]> },
): string =>
  codeOf(key.request, "request", [
    ...requestWords.map((name) => words[name]),
    call.method,
    call.path,
    coveredFields(call.fields),
  ]);

export const answerCode = (
  sent: { readonly key: Key; readonly requestCode: string },
  { kind, from, run, clock }: Omit<AnswerWords, "code">,
  cluster: string,
  status: number,
  covered: string,
): string =>
  codeOf(sent.key.answer, "answer", [sent.requestCode, cluster, kind, from, run, clock, String(status), covered]);
