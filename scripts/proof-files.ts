/**
 * `bun run proof:files`: uploads under load through kills of the primary, with real processes. Writers upload 1 KiB to
 * 20 MB, move, delete, and rename folders; the primary is killed again and again; after each failover every upload that
 * was acknowledged must be there bit for bit, no row may be without its file, and no file of an acknowledged deletion
 * may be there. `--kills N` (50), `--writers N` (4), `--seed N` (1), `--largest BYTES` (20000000).
 *
 * Exit code 0 when nothing is wrong, 1 otherwise.
 */
import { createHash } from "node:crypto";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Cluster } from "../harness/cluster.ts";
import { ProcessKeeper } from "../harness/processes.ts";
import { SeededRandom } from "../harness/seeded-random.ts";
import { systemClock } from "../src/runtime/clock.ts";
import { FilesClient, filesApplication, filesKeys } from "../test/e2e/files/client.ts";
import { orEnd, readOptions, wholeNumber } from "./lib/options.ts";

const values = readOptions({
  kills: { type: "string", default: "50" },
  writers: { type: "string", default: "4" },
  seed: { type: "string", default: "1" },
  largest: { type: "string", default: "20000000" },
});
const kills = orEnd(() => wholeNumber("kills", values.kills, 1, 10_000));
const writers = orEnd(() => wholeNumber("writers", values.writers, 1, 64));
const seed = orEnd(() => wholeNumber("seed", values.seed, 0));
const largest = orEnd(() => wholeNumber("largest", values.largest, 2048, 1_000_000_000));

const never = new AbortController().signal;
const wholeWithinMs = 60_000;
/** How long writers work between two kills, at most. */
const roundMsMax = 3_000;
/** Uploads that a writer keeps; older ones are deleted, so that the folder stays of a size. */
const keptMax = 12;

const folder = mkdtempSync(join(tmpdir(), "stead-proof-files-"));
const keeper = new ProcessKeeper(folder);
const problems: string[] = [];
try {
  await prove();
} finally {
  await keeper.close(3000);
}
process.exitCode = problems.length === 0 ? 0 : 1;

/** One writer's memory: what must be there, and what may be either way because no answer came. */
class Writer {
  readonly #client: FilesClient;
  readonly #random: SeededRandom;
  readonly #name: string;
  /** Acknowledged, by id: the hash. */
  readonly kept = new Map<string, string>();
  readonly deleted = new Set<string>();
  /** A move was not answered: a second name of the file may be left. */
  readonly #halfMoved = new Set<string>();
  /** By id: the hash of an upload, or of one whose deletion was not answered. */
  readonly unknown = new Map<string, string>();
  readonly counts = { uploads: 0, bytes: 0, moves: 0, deletions: 0, albums: 0, unknown: 0 };
  /** The album's name, or the two of which it has one. */
  #album: readonly string[] = [];
  #nth = 0;

  constructor(client: FilesClient, random: SeededRandom, name: string) {
    this.#client = client;
    this.#random = random;
    this.#name = name;
  }

  get album(): readonly string[] {
    return this.#album;
  }

  async work(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      const draw = this.#random.below(10);
      if (this.kept.size > keptMax || (draw < 2 && this.kept.size > 2)) await this.#delete();
      else if (draw < 4 && this.kept.size > 0) await this.#move();
      else if (draw === 4) await this.#renameAlbum();
      else await this.#upload();
    }
  }

  async #upload(): Promise<void> {
    const id = `${this.#random.below(90) + 10}${this.#name}${(this.#nth += 1)}`;
    // Most are small, some are large.
    const power = this.#random.fraction() ** 3;
    const bytes = contentOf(Math.floor(1024 * (largest / 1024) ** power), this.#random.below(2 ** 31));
    const hash = createHash("sha256").update(bytes).digest("hex");
    this.unknown.set(id, hash);
    if ((await this.#client.call("PUT", `/uploads/${id}`, bytes)) !== 201) return this.#noteUnknown();
    this.unknown.delete(id);
    this.kept.set(id, hash);
    this.counts.uploads += 1;
    this.counts.bytes += bytes.length;
  }

  async #move(): Promise<void> {
    const id = this.#pick();
    // Whatever comes of it, the upload stays.
    if ((await this.#client.call("POST", `/move/${id}`)) === 200) this.counts.moves += 1;
    else {
      this.#halfMoved.add(id);
      this.#noteUnknown();
    }
  }

  async #delete(): Promise<void> {
    const id = this.#pick();
    const hash = this.kept.get(id) ?? "";
    this.kept.delete(id);
    this.unknown.set(id, hash);
    if ((await this.#client.call("DELETE", `/uploads/${id}`)) !== 200) return this.#noteUnknown();
    this.unknown.delete(id);
    if (!this.#halfMoved.has(id)) this.deleted.add(id);
    this.counts.deletions += 1;
  }

  async #renameAlbum(): Promise<void> {
    const [now, ...others] = this.#album;
    if (others.length > 0) return;
    if (now === undefined) {
      const first = `${this.#name}0`;
      for (const file of ["a", "b", "c"])
        if ((await this.#client.call("PUT", `/albums/${first}/${file}`, contentOf(5000, 1))) !== 201) return;
      this.#album = [first];
      return;
    }
    const next = `${this.#name}${(this.#nth += 1)}`;
    this.#album = [now, next];
    if ((await this.#client.call("POST", `/albums/${now}/${next}`)) !== 200) return this.#noteUnknown();
    this.#album = [next];
    this.counts.albums += 1;
  }

  /** After a failover: what was not answered is one or the other from now on. */
  settle(rows: ReadonlyMap<string, string>, others: ReadonlySet<string>): void {
    for (const [id, hash] of this.unknown) if (rows.get(id) === hash) this.kept.set(id, hash);
    this.unknown.clear();
    this.#album = this.#album.filter((album) => others.has(`albums/${album}/a`));
  }

  #pick(): string {
    const ids = [...this.kept.keys()];
    return ids[this.#random.below(ids.length)] ?? "";
  }

  #noteUnknown(): void {
    this.counts.unknown += 1;
  }
}

function contentOf(size: number, from: number): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  let state = from | 1;
  for (let at = 0; at + 4 <= size; at += 4)
    bytes.writeInt32LE((state = (Math.imul(state, 1664525) + 1013904223) | 0), at);
  bytes.fill(from & 0xff, size - (size % 4));
  return bytes;
}

async function prove(): Promise<void> {
  const cluster = await Cluster.create({
    ...{ folder, keeper, service: "files", hosts: 2, gateways: 1, clock: systemClock },
    application: filesApplication,
    hostKeys: filesKeys,
    hostExtra: '\n[host.checkpoint]\ninterval = "20s"\n',
  });
  const members = [...cluster.gateways, ...cluster.hosts];
  await Promise.all(members.map((member) => cluster.start(member)));
  await cluster.whenWhole(wholeWithinMs, never);
  const [gateway] = cluster.gateways;
  if (gateway === undefined) throw new Error("a cluster without a gateway");
  const client = new FilesClient(gateway.url);
  const random = new SeededRandom(seed);
  const all = Array.from(
    { length: writers },
    (_, index) => new Writer(client, random.fork(`writer ${index}`), `w${index}-`),
  );
  const cookie = await client.session();
  for (let kill = 1; kill <= kills; kill++) {
    const until = performance.now() + random.below(roundMsMax) + 200;
    let isOver = false;
    const working = Promise.all(all.map((writer) => writer.work(() => isOver)));
    while (performance.now() < until) await systemClock.sleep(10);
    const primary = await cluster.primary();
    if (primary === undefined) throw new Error("no primary to kill");
    primary.host.process?.signal("SIGKILL");
    await primary.host.process?.ended;
    isOver = true;
    await working;
    const found = await verify(client, all, kill, cookie);
    await cluster.start(primary.host);
    await cluster.whenWhole(wholeWithinMs, never);
    const sum = (what: keyof Writer["counts"]): number => all.reduce((total, { counts }) => total + counts[what], 0);
    console.log(
      `kill ${kill}: ${found} uploads there; acknowledged so far: ${sum("uploads")} uploads of ${Math.round(sum("bytes") / 1e6)} MB, ${sum("moves")} moves, ${sum("deletions")} deletions, ${sum("albums")} folders renamed; ${sum("unknown")} not answered; ${problems.length} wrong`,
    );
  }
  console.log(problems.length === 0 ? "good: nothing lost" : `NOT GOOD: ${problems.length} wrong`);
}

/** Returns how many uploads are there. */
async function verify(client: FilesClient, all: readonly Writer[], kill: number, cookie: string): Promise<number> {
  const say = (text: string): void => {
    problems.push(text);
    console.log(`  WRONG after kill ${kill}: ${text}`);
  };
  const { rows, others } = await client.everything();
  const hashes = new Map(rows.map(({ id, found }) => [id, found ?? ""]));
  const files = new Set(others);
  for (const { id, path, hash, found } of rows)
    if (found !== hash) say(`the row ${id} has ${found === null ? "no file" : "another file"} at ${path}`);
  for (const writer of all) {
    for (const [id, hash] of writer.kept)
      if (hashes.get(id) !== hash) say(`the acknowledged upload ${id} is ${hashes.has(id) ? "another one" : "gone"}`);
    for (const id of writer.deleted) {
      if (hashes.has(id)) say(`the deleted upload ${id} has a row`);
      const left = others.find((path) => path.endsWith(`/${id}`) || path.includes(`/${id}-`));
      if (left !== undefined) say(`the deleted upload ${id} has a file, ${left}`);
    }
    const albums = writer.album.filter((album) => ["a", "b", "c"].some((file) => files.has(`albums/${album}/${file}`)));
    if (writer.album.length > 0 && albums.length !== 1)
      say(`of the folders ${writer.album.join(", ")} there are ${albums.length}`);
    for (const album of albums)
      if (!["a", "b", "c"].every((file) => files.has(`albums/${album}/${file}`)))
        say(`the folder ${album} is not whole`);
    writer.settle(hashes, files);
  }
  if (!(await client.isKnown(cookie))) say("a session that an earlier primary signed is refused");
  return rows.length;
}
