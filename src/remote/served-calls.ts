/** The calls of a vault server on its store and log (wire.ts lists them). Decides nothing about connections. */
import { StrangeObjectError } from "../vault/errors.ts";
import { manifestBytesMax, objectBytesMax } from "../vault/limits.ts";
import type { Log } from "../vault/log/log.ts";
import { type Store, StoreError } from "../vault/store/store.ts";
import { isKey } from "../vault/store/store-key.ts";
import { OperatorError } from "../runtime/operator-error.ts";
import { digestOf } from "./known-end.ts";
import {
  encodeError,
  encodeStrange,
  isPosition,
  keysPerPage,
  knownTarget,
  logTarget,
  objectsTarget,
  parseObject,
} from "./wire.ts";

export interface ServedCall {
  readonly method: string;
  readonly target: string;
  readonly body: Uint8Array;
}

export interface ServedAnswer {
  readonly status: number;
  readonly body: Uint8Array;
}

/** Of the folder. It verifies no record: the vault's keys are the hosts' (vault/log/served-log.ts). */
export interface ServedVaultLog extends Log {
  newestClaim(before?: number): Promise<number>;
}

export interface ServedVault {
  readonly store: Store;
  readonly log: ServedVaultLog;
  /** Called with every failure that is answered. */
  readonly onFailure: (error: unknown) => void;
}

/** Only the log has these: nothing that is put or removed as an object may change it. */
const logFolders = /^(?:claims|seals|marks|segments|large|identity\.json)(?:\/|$)/;
const nothing = new Uint8Array();

export class ServedCalls {
  readonly #vault: ServedVault;

  constructor(vault: ServedVault) {
    this.#vault = vault;
  }

  /** Never rejects. */
  async answer(call: ServedCall): Promise<ServedAnswer> {
    try {
      return await this.#perform(call);
    } catch (error) {
      this.#vault.onFailure(error);
      if (error instanceof StrangeObjectError) return { status: 500, body: encodeStrange(error) };
      return { status: error instanceof RangeError ? 400 : 500, body: encodeError(asStoreError(error)) };
    }
  }

  #perform(call: ServedCall): Promise<ServedAnswer> {
    const [path = "", query] = call.target.split("?", 2);
    if (path === knownTarget) return this.#compare(call.body);
    if (path === objectsTarget) return this.#list(new URLSearchParams(query));
    if (path.startsWith(`${objectsTarget}/`))
      return this.#object(call, path.slice(objectsTarget.length + 1), new URLSearchParams(query));
    const record = /^\/v1\/log\/(\d{1,16})$/.exec(path)?.[1];
    if (record !== undefined) return this.#record(call, Number(record));
    if (path === logTarget) return this.#positions(Number(new URLSearchParams(query).get("after") ?? 0));
    if (path.startsWith(`${logTarget}/`))
      return this.#ofLog(call, path.slice(logTarget.length + 1), new URLSearchParams(query));
    throw unknownCall(call);
  }

  async #record({ method, body }: ServedCall, position: number): Promise<ServedAnswer> {
    const { log } = this.#vault;
    if (method === "PUT")
      return { status: (await log.put(position, body)).kind === "created" ? 201 : 200, body: nothing };
    const found = await log.get(position);
    return found === undefined ? { status: 404, body: nothing } : { status: 200, body: found };
  }

  async #positions(after: number): Promise<ServedAnswer> {
    const ranges: [number, number][] = [];
    for (const position of await this.#vault.log.positions(after)) {
      const last = ranges.at(-1);
      if (last?.[1] === position - 1) last[1] = position;
      else ranges.push([position, position]);
    }
    return json({ ranges });
  }

  async #ofLog(call: ServedCall, what: string, query: URLSearchParams): Promise<ServedAnswer> {
    const { log } = this.#vault;
    switch (`${call.method} ${what}`) {
      case "GET newest-claim":
        return json({ position: await log.newestClaim(query.has("before") ? Number(query.get("before")) : undefined) });
      case "GET strange-names":
        return json({ names: await log.strangeNames() });
      case "GET boundary":
        return json({ boundary: await log.boundary() });
      case "GET is-empty":
        return json({ isEmpty: await log.isEmpty() });
      case "POST decide-end":
        return json({ decided: await log.decideEnd() });
      case "POST remove":
        return this.#remove(call);
      default:
        throw unknownCall(call);
    }
  }

  async #remove(call: ServedCall): Promise<ServedAnswer> {
    const { position, noEpochAfter, dryRun } = parseObject(call.body) ?? {};
    if (!isPosition(position)) throw unknownCall(call);
    const options = { dryRun: dryRun === true, ...(isPosition(noEpochAfter) ? { noEpochAfter } : {}) };
    return json({ ...(await this.#vault.log.removeUpTo(position, options)) });
  }

  async #object({ method, body }: ServedCall, key: string, query: URLSearchParams): Promise<ServedAnswer> {
    const { store } = this.#vault;
    if (!isKey(key)) throw new RangeError(`not a key of a store: ${JSON.stringify(key)}`);
    if (method === "GET") {
      const bytesMax = Math.min(Number(query.get("max") ?? objectBytesMax), manifestBytesMax);
      const found = await store.get(key, bytesMax);
      return found === undefined ? { status: 404, body: nothing } : { status: 200, body: found };
    }
    if (logFolders.test(key))
      throw new StoreError("denied", `${key} belongs to the log`, "Only the vault server writes it.");
    if (method === "PUT")
      return { status: (await store.putIfAbsent(key, body)).kind === "created" ? 201 : 200, body: nothing };
    await store.delete(key);
    return { status: 204, body: nothing };
  }

  async #list(query: URLSearchParams): Promise<ServedAnswer> {
    const [after, limit] = [query.get("after"), Number(query.get("limit") ?? keysPerPage)];
    const options = { limit: Math.min(limit, keysPerPage), ...(after === null ? {} : { after }) };
    return json({ keys: await this.#vault.store.list(query.get("prefix") ?? "", options) });
  }

  /** Says whether this log has what a client knows of it. */
  async #compare(body: Uint8Array): Promise<ServedAnswer> {
    const { position, digest } = parseObject(body) ?? {};
    if (!isPosition(position) || position === 0) return { status: 200, body: nothing };
    const { log } = this.#vault;
    const found = await log.get(position);
    if (found !== undefined ? digestOf(found) === digest : (await log.boundary()) >= position)
      return { status: 200, body: nothing };
    const has = found === undefined ? "its log ends before it" : "its log has another record there";
    return {
      status: 409,
      body: encodeError(
        new StoreError("unavailable", `this host knows record ${position} of the log, and ${has}`, olderAdvice),
      ),
    };
  }
}

const olderAdvice =
  'It serves an older copy of the vault, or another one: stop it, and start the vault server on the folder that has everything. If there is none, see OPERATIONS.md, "A vault server".';

const json = (value: Readonly<Record<string, unknown>>): ServedAnswer => ({
  status: 200,
  body: Buffer.from(JSON.stringify(value)),
});

const unknownCall = ({ method, target }: ServedCall): RangeError => new RangeError(`no such call: ${method} ${target}`);

function asStoreError(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  if (error instanceof OperatorError) return new StoreError("unsuitable", error.message, error.advice);
  const found = error instanceof Error ? error.message : String(error);
  return new StoreError(
    error instanceof RangeError ? "unsuitable" : "unavailable",
    `the vault server failed: ${found}`,
    "Do all members run the same version of stead?",
  );
}
