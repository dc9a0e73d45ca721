/**
 * Tests whether a bucket offers what a vault needs, at each opening, by doing it: exclusive creation one after the
 * other and at the same time, reading and listing what was just written, and deleting.
 *
 * The race is what finds stores that look before they write: on a bucket with versions Ceph's gateway lets all writers
 * win. Such a bucket is also asked for its versions, because a delete would only hide what it removes. Eight writers
 * for each of three keys all send before the first answer can be there.
 *
 * The objects are below `probes/_open/`, which no host can have as its id (keys.ts). Each probe removes its own, and
 * those that a killed one left a day ago.
 */
import type { Clock } from "../runtime/clock.ts";
import type { Random } from "../runtime/random.ts";
import { staleTemporaryMs } from "../vault/limits.ts";
import { pauseBeforeRetry } from "../vault/store/retry.ts";
import { StoreError } from "../vault/store/store.ts";
import type { S3Store } from "./s3-store.ts";

const probePrefix = "probes/_open/";
const racedKeys = 3;
const writersPerKey = 8;
/** Of one operation of the probe. A conflict passes soon; a server that does not answer may be the wrong one. */
const attemptsMax = { ambiguous: 10, unavailable: 3 } as const;

interface ProbePorts {
  readonly clock: Clock;
  readonly random: Random;
}

/** Throws StoreError: what is refused is `unsuitable`. Leaves nothing behind. */
export async function probeBucket(store: S3Store, ports: ProbePorts): Promise<void> {
  await assertNoVersions(store, ports);
  const { clock, random } = ports;
  const own = `${probePrefix}${Math.floor(clock.wallTime())}-${Buffer.from(random.bytes(8)).toString("hex")}/`;
  const keys = ["one", ...Array.from({ length: racedKeys }, (_, index) => `race-${index}`)].map((name) => own + name);
  const [first = "", ...raced] = keys;
  try {
    await assertExclusive(store, first, ports);
    await Promise.all(raced.map((key) => assertOneWinner(store, key, ports)));
    await assertListed(store, own, keys.toSorted(), ports);
    await removeStale(store, ports);
  } catch (error) {
    // The error is what matters.
    await Promise.all(keys.map((key) => store.delete(key).catch(() => undefined)));
    throw error;
  }
  for (const key of keys) await insist(ports, () => store.delete(key));
  if ((await insist(ports, () => store.get(first))) !== undefined)
    throw unsuitable(store, "an object is still there after it was deleted");
  await assertListed(store, own, [], ports);
}

async function assertNoVersions(store: S3Store, ports: ProbePorts): Promise<void> {
  const status = await insist(ports, () => store.versioning());
  if (status === undefined || status === "") return;
  throw new StoreError(
    "unsuitable",
    `the bucket of ${store.url} has versions (${JSON.stringify(status.slice(0, 40))}): some stores ignore the condition of a put there, and nothing is ever deleted`,
    "Make a bucket that never had versions, for the vault alone.",
  );
}

async function assertExclusive(store: S3Store, key: string, ports: ProbePorts): Promise<void> {
  if ((await insist(ports, () => store.get(key))) !== undefined)
    throw unsuitable(store, "an object is there that was never put");
  if (!(await wins(store, key, "first", ports))) throw unsuitable(store, "the first put of a key was refused");
  if (await wins(store, key, "second", ports)) throw unsuitable(store, "a second put of one key was accepted");
  const found = await read(store, key, ports);
  if (found !== "first") throw unsuitable(store, `${JSON.stringify(found ?? "nothing")} is read where "first" was put`);
}

async function assertOneWinner(store: S3Store, key: string, ports: ProbePorts): Promise<void> {
  const names = Array.from({ length: writersPerKey }, (_, index) => `writer ${index}`);
  const won = await Promise.all(names.map((name) => wins(store, key, name, ports)));
  const winners = names.filter((_, index) => won[index]);
  if (winners.length !== 1)
    throw unsuitable(store, `${winners.length} of ${writersPerKey} concurrent puts of one key were accepted`);
  const found = await read(store, key, ports);
  if (found !== winners[0])
    throw unsuitable(store, `${JSON.stringify(found ?? "nothing")} is read where "${winners[0]}" won`);
}

async function assertListed(store: S3Store, prefix: string, keys: readonly string[], ports: ProbePorts): Promise<void> {
  const found = await insist(ports, () => store.list(prefix));
  if (found.join() !== keys.join())
    throw unsuitable(store, `a listing has ${found.length} keys right after ${keys.length} were there`);
}

/** Puts until the outcome is known. True: this content is there, by this writer. */
async function wins(store: S3Store, key: string, content: string, ports: ProbePorts): Promise<boolean> {
  const bytes = new TextEncoder().encode(content);
  let mayHaveHappened = false;
  const outcome = await insist(ports, async () => {
    try {
      return await store.putIfAbsent(key, bytes);
    } catch (error) {
      mayHaveHappened ||= error instanceof StoreError && error.kind === "ambiguous";
      throw error;
    }
  });
  if (outcome.kind === "created") return true;
  return mayHaveHappened && (await read(store, key, ports)) === content;
}

async function read(store: S3Store, key: string, ports: ProbePorts): Promise<string | undefined> {
  const bytes = await insist(ports, () => store.get(key));
  return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
}

/** Repeats what a moment may mend, a bounded number of times. What an operator must mend is thrown at once. */
async function insist<T>(ports: ProbePorts, operation: () => Promise<T>): Promise<T> {
  for (let failures = 0; ; ) {
    try {
      return await operation();
    } catch (error) {
      failures += 1;
      const kind = error instanceof StoreError ? error.kind : undefined;
      if ((kind !== "ambiguous" && kind !== "unavailable") || failures >= attemptsMax[kind]) throw error;
      await pauseBeforeRetry(ports, failures);
    }
  }
}

async function removeStale(store: S3Store, ports: ProbePorts): Promise<void> {
  const oldest = ports.clock.wallTime() - staleTemporaryMs;
  for (const key of await insist(ports, () => store.list(probePrefix))) {
    const startedMs = Number(/^(\d+)-/.exec(key.slice(probePrefix.length))?.[1]);
    if (startedMs < oldest) await insist(ports, () => store.delete(key));
  }
}

const unsuitable = ({ url }: S3Store, found: string): StoreError =>
  new StoreError(
    "unsuitable",
    `${url} is not suitable for a vault: ${found}`,
    "Use a store with conditional puts (If-None-Match: *) that are exclusive: without them two hosts could both be primary. docs/OPERATIONS.md lists some.",
  );
