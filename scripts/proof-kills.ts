/**
 * `bun run proof:kills`: primaries are killed (SIGKILL to the host's process group, its application with it) while
 * clients of the ledger application post transfers through one gateway, one behind the other and without a pause. The
 * killed host is started as soon as a new primary serves; the next kill comes two to three seconds later, when there is
 * a secondary, be it that host or the third one.
 *
 * `--kills N` (1000), in clusters of `--each N` kills (125) one after the other, `--minutes N` at most (90),
 * `--clients N` (16), `--seed N` (1).
 *
 * Counted are the transfers in flight at the moment of a kill, and of them those that were not answered with 2xx, each
 * with the gateway's reason. The ledger answers a transfer 201 when it is done, and 200 when its id was done before: a
 * 200 here is a request that was executed twice. In the end everything is read back: the sum of the balances, and each
 * answered transfer once.
 *
 * The last line with --json: {"bench":"kills","kills":N,"posts":N,"in_flight":N,"not_answered":N,"share":X,
 * "reasons":{REASON:N},"twice":N,"missing":N,"failed":N,"sum_ok":B}. Exit code 1 if a transfer was executed twice or
 * is missing, if one failed otherwise than as unknown, if the sum is wrong, or if 1 in 200 of those in flight, or more,
 * was not answered.
 */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { demoApplication } from "../harness/applications.ts";
import { Cluster, type GatewayMember, type HostMember } from "../harness/cluster.ts";
import { GatewayView } from "../harness/gateway-view.ts";
import { asJson, type CallAnswer, HttpCaller } from "../harness/http-call.ts";
import { listField, numberField, textField } from "../harness/model.ts";
import { ProcessKeeper } from "../harness/processes.ts";
import { descendantsOf, livingOf } from "../harness/process-table.ts";
import { SeededRandom } from "../harness/seeded-random.ts";
import { systemClock as clock } from "../src/runtime/clock.ts";
import { parseBenchArguments, rounded } from "./bench-support.ts";

const options = parseBenchArguments({ kills: 1000, each: 125, minutes: 90, clients: 16, seed: 1 });
const say = (line: string): void => void (options.json ? process.stderr : process.stdout).write(`${line}\n`);

const hostCount = 3;
const accounts = 20;
const openingBalance = 1000;
const wholeWithinMs = 60_000;
const requestTimeoutMs = 60_000;
/** Load after a takeover: more than two seconds after it a loss is none that the brake waits for. */
const [loadMsMin, loadMsMax] = [2_100, 3_000] as const;
const shareMax = 1 / 200;
const reportEvery = 10;

/** One transfer on its way. */
interface Posted {
  readonly id: string;
  wasInFlightAtKill: boolean;
}

/** What happened in all clusters so far. */
class Tally {
  readonly reasons = new Map<string, number>();
  readonly failures: string[] = [];
  kills = 0;
  posts = 0;
  inFlightAtKills = 0;
  notAnswered = 0;
  twice = 0;
  missing = 0;
  failed = 0;
  /** Clusters whose sum of balances was wrong in the end. */
  wrongSums = 0;

  /** Share of the transfers in flight at a kill that were not answered. */
  get share(): number {
    return this.inFlightAtKills === 0 ? 0 : this.notAnswered / this.inFlightAtKills;
  }

  get isWell(): boolean {
    const faults = this.twice + this.missing + this.failed + this.wrongSums;
    return faults === 0 && this.kills > 0 && this.share < shareMax;
  }

  fail(posted: Posted, reason: string): void {
    this.failed += 1;
    if (this.failures.length < 20) this.failures.push(`transfer ${posted.id}: ${reason}`);
  }
}

/** The clients of one cluster. */
class Clients {
  readonly #url: string;
  readonly #seed: number;
  readonly #tally: Tally;
  readonly #caller = new HttpCaller(options.clients);
  readonly #open = new Set<Posted>();
  readonly acknowledged = new Set<string>();
  #isOver = false;
  readonly #all: Promise<void>[];

  constructor(url: string, seed: number, tally: Tally) {
    this.#url = url;
    this.#seed = seed;
    this.#tally = tally;
    this.#all = Array.from({ length: options.clients }, (_, client) => this.#work(client));
  }

  /** A primary is killed in this moment. */
  onKill(): void {
    for (const posted of this.#open) {
      if (posted.wasInFlightAtKill) continue;
      posted.wasInFlightAtKill = true;
      this.#tally.inFlightAtKills += 1;
    }
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#all);
    this.#caller.close();
  }

  async #work(client: number): Promise<void> {
    const dice = new SeededRandom(this.#seed * 1009 + client);
    for (let nth = 1; !this.#isOver; nth++) {
      const from = 1 + Math.floor(accounts * dice.fraction());
      const to = 1 + (from % accounts);
      await this.#post({ id: `${client}-${nth}`, wasInFlightAtKill: false }, { from, to, amount: 1 });
    }
  }

  async #post(posted: Posted, transfer: object): Promise<void> {
    const body = JSON.stringify({ id: posted.id, ...transfer });
    this.#tally.posts += 1;
    this.#open.add(posted);
    try {
      const url = `${this.#url}/transfer`;
      this.#settle(posted, await this.#caller.call({ method: "POST", url, body, timeoutMs: requestTimeoutMs }));
    } catch (error) {
      this.#tally.fail(posted, String(error));
    } finally {
      this.#open.delete(posted);
    }
  }

  #settle(posted: Posted, { status, text, headers }: CallAnswer): void {
    if (status === 201 || status === 200) {
      this.acknowledged.add(posted.id);
      if (status === 200) this.#tally.twice += 1;
    } else if (headers["stead-outcome"] === "unknown") {
      if (posted.wasInFlightAtKill) this.#tally.notAnswered += 1;
      else this.#tally.fail(posted, `unknown, and not in flight at a kill: ${text.trim()}`);
      this.#tally.reasons.set(text.trim(), (this.#tally.reasons.get(text.trim()) ?? 0) + 1);
    } else this.#tally.fail(posted, `${status}: ${text.trim()}`);
  }
}

async function kill(
  cluster: Cluster,
  primary: HostMember,
  signal: AbortSignal,
  clients: Clients,
  tally: Tally,
): Promise<void> {
  const host = primary.process;
  if (host === undefined) throw new Error(`${primary.id} is primary and has no process`);
  const family = descendantsOf(host.pid);
  const before = tally.inFlightAtKills;
  clients.onKill();
  say(`kill of ${primary.id}: ${tally.inFlightAtKills - before} in flight; ${tally.notAnswered} not answered so far`);
  host.signal("SIGKILL");
  await host.ended;
  await cluster.until(
    `the processes of ${primary.id} to be gone`,
    wholeWithinMs,
    signal,
    () => "some are not",
    () => Promise.resolve(livingOf(family).length === 0 ? true : undefined),
  );
  await cluster.until(
    "another primary",
    wholeWithinMs,
    signal,
    () => "there is none",
    async () => ((await cluster.primary()) === undefined ? undefined : true),
  );
  await cluster.start(primary);
}

/** What is wrong in the end, and how many acknowledged transfers are missing. */
async function readBack(
  url: string,
  clients: Clients,
): Promise<{ readonly missing: number; readonly isSumOk: boolean }> {
  const get = async (path: string): Promise<unknown> => asJson(await (await fetch(`${url}${path}`)).text());
  const balances = listField(await get("/accounts"), "accounts").map((each) => numberField(each, "balance"));
  const sum = balances.reduce((total, balance) => total + balance, 0);
  const ids = new Set<string>();
  for (let after = 0; ; ) {
    const page = listField(await get(`/transfers?after=${after}&limit=10000`), "transfers");
    for (const each of page) ids.add(textField(each, "id"));
    const last = page.at(-1);
    if (last === undefined) break;
    after = numberField(last, "seq");
  }
  const missing = [...clients.acknowledged].filter((id) => !ids.has(id)).length;
  return { missing, isSumOk: sum === accounts * openingBalance };
}

/** Runs a cluster of its own through `kills` kills, or fewer if it is `until` before, and reads everything back. */
async function runCluster(kills: number, seed: number, until: number, tally: Tally): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "stead-proof-kills-"));
  const keeper = new ProcessKeeper(folder);
  try {
    const cluster = await Cluster.create({
      ...{ folder, service: "ledger", application: demoApplication("ledger", folder), hosts: hostCount, gateways: 1 },
      ...{ keeper, clock },
    });
    const { signal } = new AbortController();
    const gateway = await startAll(cluster, signal);
    const clients = new Clients(gateway.url, seed, tally);
    const dice = new SeededRandom(seed);
    for (let nth = 1; nth <= kills && clock.now() < until; nth++) {
      const primary = await cluster.whenWhole(wholeWithinMs, signal, 1);
      await clock.sleep(loadMsMin + (loadMsMax - loadMsMin) * dice.fraction());
      await kill(cluster, primary, signal, clients, tally);
      tally.kills += 1;
      if (tally.kills % reportEvery === 0) say(`${told(tally)} so far`);
    }
    await cluster.whenWhole(wholeWithinMs, signal);
    await clients.stop();
    const { missing, isSumOk } = await readBack(gateway.url, clients);
    tally.missing += missing;
    if (!isSumOk) tally.wrongSums += 1;
  } finally {
    await keeper.close(5_000);
  }
}

/** Starts all members, and returns the gateway once it serves. */
async function startAll(cluster: Cluster, signal: AbortSignal): Promise<GatewayMember> {
  const [gateway] = cluster.gateways;
  if (gateway === undefined) throw new Error("the cluster has no gateway");
  await Promise.all([...cluster.hosts, gateway].map((member) => cluster.start(member)));
  await cluster.whenWhole(wholeWithinMs, signal);
  const view = new GatewayView(gateway.adminUrl, cluster.caller, "ledger", clock);
  await cluster.until(
    "the gateway",
    wholeWithinMs,
    signal,
    () => "it does not serve",
    async () => ((await view.isServing().catch(() => false)) ? true : undefined),
  );
  return gateway;
}

function told({ kills, posts, inFlightAtKills, notAnswered, share, twice, failed }: Tally): string {
  const oneIn = share === 0 ? "" : ` (1 in ${(1 / share).toFixed(0)})`;
  return `${kills} kills, ${posts} transfers; ${notAnswered} of ${inFlightAtKills} in flight at a kill not answered 2xx${oneIn}; ${twice} executed twice, ${failed} failed`;
}

const tally = new Tally();
const until = clock.now() + 60_000 * options.minutes;
for (let seed = options.seed; tally.kills < options.kills && clock.now() < until; seed++)
  await runCluster(Math.min(options.each, options.kills - tally.kills), seed, until, tally);
for (const failure of tally.failures) say(`failed: ${failure}`);
for (const [reason, count] of tally.reasons) say(`not answered: ${count}: ${reason}`);
const isSumOk = tally.wrongSums === 0;
say(`${tally.isWell ? "✓" : "✗"} ${told(tally)}, ${tally.missing} missing, the sum is ${isSumOk ? "right" : "WRONG"}`);
if (options.json)
  process.stdout.write(
    `${JSON.stringify({
      ...{ bench: "kills", kills: tally.kills, posts: tally.posts, in_flight: tally.inFlightAtKills },
      ...{ not_answered: tally.notAnswered, share: rounded(tally.share, 5) },
      ...{ reasons: Object.fromEntries(tally.reasons), twice: tally.twice, missing: tally.missing },
      ...{ failed: tally.failed, sum_ok: isSumOk },
    })}\n`,
  );
process.exitCode = tally.isWell ? 0 : 1;
