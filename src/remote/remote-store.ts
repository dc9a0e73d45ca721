/**
 * A vault that a vault server has (vault-server.ts), as its hosts use it: a store, and the log that the server keeps.
 *
 * Puts that may have arrived and were not answered are ambiguous (R3); everything else that fails has changed nothing
 * that a repetition would not change in the same way.
 */
import { objectBytesMax } from "../vault/limits.ts";
import type { LogService, ServedRemoval } from "../vault/store/log-service.ts";
import { type PutOutcome, type Store, StoreError } from "../vault/store/store.ts";
import { assertSize } from "../vault/store/object-size.ts";
import { assertKey, assertPrefix } from "../vault/store/store-key.ts";
import type { ServedAnswer } from "./served-calls.ts";
import type { VaultClient } from "./vault-client.ts";
import { isPosition, keysPerPage, logTarget, objectsTarget, parseObject } from "./wire.ts";

const nothing = new Uint8Array();
const removalMsMax = 5 * 60_000;

export class RemoteStore implements Store {
  readonly url: string;
  readonly files = undefined;
  readonly log: LogService;
  readonly #client: VaultClient;

  constructor(client: VaultClient) {
    this.#client = client;
    this.url = client.url;
    this.log = new RemoteLog(client);
  }

  async putIfAbsent(key: string, bytes: Uint8Array): Promise<PutOutcome> {
    assertKey(key);
    const call = { method: "PUT", target: `${objectsTarget}/${key}`, body: bytes };
    return outcomeOf(await this.#client.call(call, { ifSent: "ambiguous" }));
  }

  prepare(): void {
    // The server has nothing of an object before it is put.
  }

  async stage(): Promise<undefined> {}

  async get(key: string, bytesMax = objectBytesMax): Promise<Uint8Array | undefined> {
    assertKey(key);
    const found = contentOf(await read(this.#client, `${objectsTarget}/${key}?max=${bytesMax}`));
    if (found !== undefined) assertSize(key, found.length, bytesMax);
    return found;
  }

  async list(
    prefix: string,
    { after, limit = Infinity }: { readonly after?: string; readonly limit?: number } = {},
  ): Promise<string[]> {
    assertPrefix(prefix);
    const found: string[] = [];
    for (let from = after; found.length < limit; ) {
      const wanted = Math.min(limit - found.length, keysPerPage);
      const query = new URLSearchParams({
        prefix,
        limit: String(wanted),
        ...(from === undefined ? {} : { after: from }),
      });
      const keys = stringsOf(await readObject(this.#client, `${objectsTarget}?${query}`), "keys");
      found.push(...keys);
      from = keys.at(-1);
      if (keys.length < wanted) break;
    }
    return found;
  }

  async delete(key: string): Promise<void> {
    assertKey(key);
    const call = { method: "DELETE", target: `${objectsTarget}/${key}`, body: nothing };
    await this.#client.call(call, { ifSent: "unavailable" });
  }

  close(): Promise<void> {
    return this.#client.close();
  }
}

class RemoteLog implements LogService {
  readonly #client: VaultClient;

  constructor(client: VaultClient) {
    this.#client = client;
  }

  async put(position: number, bytes: Uint8Array): Promise<PutOutcome> {
    const call = { method: "PUT", target: `${logTarget}/${position}`, body: bytes };
    const outcome = outcomeOf(await this.#client.call(call, { ifSent: "ambiguous" }));
    if (outcome.kind === "created") this.#client.known.learn(position, bytes);
    return outcome;
  }

  async get(position: number): Promise<Uint8Array | undefined> {
    const record = contentOf(await read(this.#client, `${logTarget}/${position}`));
    if (record !== undefined) this.#client.known.learn(position, record);
    return record;
  }

  async positions(after: number): Promise<number[]> {
    const { ranges } = await readObject(this.#client, `${logTarget}?after=${after}`);
    const positions: number[] = [];
    for (const range of Array.isArray(ranges) ? (ranges as unknown[]) : [undefined]) {
      const [first, last] = Array.isArray(range) ? (range as unknown[]) : [];
      if (!isPosition(first) || !isPosition(last)) throw strangeAnswer(this.#client);
      for (let position = first; position <= last; position += 1) positions.push(position);
    }
    return positions;
  }

  async strangeNames(): Promise<string[]> {
    return stringsOf(await readObject(this.#client, `${logTarget}/strange-names`), "names");
  }

  async boundary(): Promise<number> {
    const { boundary } = await readObject(this.#client, `${logTarget}/boundary`);
    if (isPosition(boundary)) return boundary;
    throw strangeAnswer(this.#client);
  }

  async removeUpTo(position: number, options: ServedRemoval): ReturnType<LogService["removeUpTo"]> {
    const call = {
      method: "POST",
      target: `${logTarget}/remove`,
      body: Buffer.from(JSON.stringify({ position, ...options })),
    };
    const answer = objectOf(
      await this.#client.call(call, { ifSent: "unavailable", timeoutMs: removalMsMax }),
      this.#client,
    );
    if (!isPosition(answer["kept"])) throw strangeAnswer(this.#client);
    return { names: stringsOf(answer, "names"), kept: answer["kept"] };
  }

  async newestClaim(before?: number): ReturnType<LogService["newestClaim"]> {
    const query = before === undefined ? "" : `?before=${before}`;
    const { position } = await readObject(this.#client, `${logTarget}/newest-claim${query}`);
    if (!isPosition(position) || position >= (before ?? Infinity)) throw strangeAnswer(this.#client);
    const bytes = position === 0 ? undefined : await this.get(position);
    return bytes === undefined ? undefined : { position, bytes };
  }

  async decideEnd(): Promise<boolean> {
    const call = { method: "POST", target: `${logTarget}/decide-end`, body: nothing };
    const { decided } = objectOf(await this.#client.call(call, { ifSent: "unavailable" }), this.#client);
    return decided === true;
  }

  async isEmpty(): Promise<boolean> {
    return (await readObject(this.#client, `${logTarget}/is-empty`))["isEmpty"] === true;
  }
}

const read = (client: VaultClient, target: string): Promise<ServedAnswer> =>
  client.call({ method: "GET", target, body: nothing }, { ifSent: "unavailable" });

const readObject = async (client: VaultClient, target: string): Promise<Readonly<Record<string, unknown>>> =>
  objectOf(await read(client, target), client);

function objectOf({ body }: ServedAnswer, client: VaultClient): Readonly<Record<string, unknown>> {
  const value = parseObject(body);
  if (value === undefined) throw strangeAnswer(client);
  return value;
}

const outcomeOf = ({ status }: ServedAnswer): PutOutcome => ({ kind: status === 201 ? "created" : "exists" });

const contentOf = ({ status, body }: ServedAnswer): Uint8Array | undefined => (status === 404 ? undefined : body);

const stringsOf = (value: Readonly<Record<string, unknown>>, name: string): string[] => {
  const found = value[name];
  return Array.isArray(found) ? found.filter((one): one is string => typeof one === "string") : [];
};

const strangeAnswer = ({ url }: VaultClient): StoreError =>
  new StoreError(
    "unsuitable",
    `${url} gave an answer that this version does not know`,
    "Do all members run the same version of stead?",
  );
