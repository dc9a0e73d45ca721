/**
 * This gateway among its peers: membership, outgoing messages and incoming ones (src/control/peer-api.ts).
 *
 * core/replication/exchange.ts handles rows; this file adds addresses, time, and a checked identity: a second process
 * with an id in use is refused, and so is a removed gateway. Losing every peer changes only which views are heard:
 * routing and this gateway's own rows continue.
 */
import type { PeerMessage, PeerRefusal } from "../../control/peer-api.ts";
import { rowAnswer, rowRequest, takeAnswer } from "../../core/replication/exchange.ts";
import type { ReplicatedRow } from "../../core/replication/row.ts";
import { countOf } from "../../core/replication/version-vector.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import type { Logger } from "../../runtime/log.ts";
import type { ServiceRuntime } from "../service/service.ts";
import { putGateway } from "../state/rows.ts";
import type { StateStore } from "../state/store.ts";
import { refusalOf } from "./admission.ts";
import { Confirmations } from "./confirmations.ts";
import { InstanceWatch, silentMs } from "./instance-watch.ts";
import { composeMessage, vectorOf, type RowPart } from "./message.ts";
import { KnownTables, Withheld } from "./known-tables.ts";
import { membershipOf, others, type Member } from "./membership.ts";
import type { PeerTransport } from "./peer-client.ts";
import { removeGateway, type RemoveAnswer } from "./removal.ts";
import { PeerLink, sweepMs, type ExchangeEnd } from "./peer-link.ts";
import { Views } from "./views.ts";
import { type DecodedRows, decodeRows, pushOf } from "./wire.ts";

/** Limit for connecting, sending and receiving the whole answer. */
const exchangeMs = 1_500;
/** Peers that are asked for missing rows per second; new rows come from their writer anyway. */
const pullsPerSweep = 4;
/** Changes that are not urgent are sent together. */
const gatherMs = 100;
const goodbyeMs = 300;
/** For a message that is in flight, and for the exchange that follows it. */
const confirmMs = 2 * exchangeMs;
/** A run that was not heard for this long, and has no rows left, is removed from the vector. */
const runForgottenMs = 3600 * 1_000;
const housekeepingMs = 60_000;
/** Tables whose changes peers act upon. */
const urgent = new Set(["services", "hosts", "gateways", "epochs"]);

export interface PeersOptions {
  readonly id: string;
  readonly adminUrl: string;
  /** The transport to the peer at an admin address. */
  readonly transport: (url: string) => PeerTransport;
  /** Addresses of the file. */
  readonly seeds: readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
  readonly store: StateStore;
  services(): readonly ServiceRuntime[];
}

export interface PeerStatus extends Member {
  readonly self: boolean;
  /** Undefined: never. */
  readonly heardMsAgo: number | undefined;
  readonly trouble: string | undefined;
}

export class Peers {
  readonly #options: PeersOptions;
  readonly #links = new Map<string, PeerLink>();
  readonly #answered = new Map<string, string>();
  readonly #watch = new InstanceWatch();
  readonly views: Views;
  readonly #stopping: Promise<void>[] = [];
  readonly #warnings = new Map<string, string>();
  readonly #withheld = new Withheld();
  readonly #confirmations = new Confirmations();
  #registered: readonly string[];
  #hasJoined = false;
  #refusedSince: number | undefined;
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(options: PeersOptions) {
    this.#options = options;
    this.views = new Views(options.services);
    this.#registered = [options.id];
  }

  /** Ids that count for a majority. */
  get registered(): readonly string[] {
    return this.#registered;
  }

  /** What an operator must look at. */
  get warnings(): readonly string[] {
    return [...this.#warnings.values()];
  }

  status(): readonly PeerStatus[] {
    const { id, adminUrl, clock, store } = this.#options;
    const { members } = others(store.replica, id);
    const linked = [...this.#links.values()];
    const unmet = linked
      .filter((link) => !members.some((member) => member.adminUrl === link.url))
      .map((link) => ({ id: link.id ?? link.url, adminUrl: link.url }));
    const rest = [...members, ...unmet].map((member) => ({
      id: member.id,
      adminUrl: member.adminUrl,
      self: false,
      heardMsAgo: this.#watch.heardMsAgo(member.id, clock.now()),
      trouble: this.#warningOf(member),
    }));
    return [{ id, adminUrl, self: true, heardMsAgo: 0, trouble: undefined }, ...rest].sort((a, b) =>
      a.id < b.id ? -1 : 1,
    );
  }

  /** What the other gateways say of this one's secret. */
  get secretViews(): readonly { readonly by: string; readonly view: "taken" | "refused" | undefined }[] {
    return [...this.#links.values()].map(({ id, url, secret }) => ({ by: `gateway ${id ?? url}`, view: secret }));
  }

  #warningOf({ id, adminUrl }: Member): string | undefined {
    const warning = this.#links.get(adminUrl)?.warning ?? this.#withheld.warningOf(id);
    if (this.#registered.includes(id) || !this.#membership().unproven.includes(id)) return warning;
    const advice = `if there is no such gateway, \`stead gateways remove ${id}\``;
    return `${warning ?? "no exchange yet"}; it was never met and does not count for a majority: ${advice}`;
  }

  /** Time since any run of a gateway was heard; undefined: not since this one started. */
  heardMsAgo(gateway: string): number | undefined {
    return this.#watch.heardMsAgo(gateway, this.#options.clock.now());
  }

  /** Registers this gateway and determines the others; sends nothing yet. */
  register(startedAtMs: number): void {
    const { id, adminUrl, store } = this.#options;
    store.write(putGateway({ id, adminUrl, startedAtMs, deleted: false }));
    this.#hasJoined = this.#membership().links.size === 0;
    this.#registered = this.#membership().registered;
  }

  start(): void {
    this.refresh();
    this.#timer = this.#options.clock.setTimer(housekeepingMs, () => this.#housekeeping());
  }

  /** Rows of `gateways` changed. */
  refresh(): void {
    if (this.#isStopped) return;
    for (const { id } of others(this.#options.store.replica, this.#options.id).removed) this.#options.store.forget(id);
    const { links, registered } = this.#membership();
    for (const [url, link] of this.#links) {
      if (links.has(url)) continue;
      this.#links.delete(url);
      this.#stopping.push(link.close());
    }
    for (const [url, id] of links) {
      const known = this.#links.get(url);
      if (known !== undefined) known.id = id ?? known.id;
      else this.#connect(url, id);
    }
    if (registered.join("\n") === this.#registered.join("\n")) return;
    this.#registered = registered;
    for (const service of this.#options.services()) service.send({ kind: "gateways", ids: registered });
  }

  /** Records that this gateway wrote a row. */
  wrote(row: ReplicatedRow): void {
    if (row.table === "gateways") this.refresh();
    this.#poke(urgent.has(row.table) ? 0 : gatherMs);
  }

  /** Records that a service's state changed: peers hear of it at once if the view of the primary changed. */
  moved(service: ServiceRuntime): void {
    if (this.#links.size > 0 && this.views.changed(service)) this.#poke(0);
  }

  /** Answers a peer's message. */
  handle(message: PeerMessage): PeerMessage | PeerRefusal {
    const { store } = this.#options;
    const refusal = this.#judge(message);
    if (refusal !== undefined) return refusal;
    const { from, push } = message;
    this.#meet(from.id);
    const decoded = this.#decode(message);
    const request = {
      origin: from.origin,
      vector: vectorOf(message),
      after: message.after ?? undefined,
      push: push === null || decoded === undefined ? undefined : pushOf(push, decoded),
    };
    const { answer, applied } = rowAnswer(store.replica, request);
    store.applied(applied);
    if (from.leaving) this.#watch.goodbye(from.id, from.origin);
    else this.#hear(message);
    const rows = this.#withheld.select(from.id, new KnownTables(message), answer.rows);
    return this.#message({ ...answer, rows, push: undefined, after: undefined });
  }

  remove(id: string): RemoveAnswer {
    return removeGateway(this.#options.store, this.#options.id, id);
  }

  /**
   * Asks every peer at once; resolves when all registered gateways have confirmed what this one has written, or after a
   * while, with those that have, this one included.
   */
  async confirm(): Promise<ReadonlySet<string>> {
    const { id, clock, store } = this.#options;
    for (const link of this.#links.values()) link.pulledAt = -Infinity;
    const seq = countOf(store.replica.vector, store.replica.origin);
    const isKnownToAll = (confirmed: ReadonlySet<string>): boolean =>
      this.#registered.every((gateway) => gateway === id || confirmed.has(gateway));
    const confirmed = this.#confirmations.ask(seq, isKnownToAll, { ms: confirmMs, clock });
    this.#poke(0);
    return new Set([id, ...(await confirmed)]);
  }

  async close(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#timer?.cancel();
    const links = [...this.#links.values()];
    await Promise.all([...this.#stopping, ...links.map((link) => link.close())]);
    await Promise.all(links.filter(({ warning }) => warning === undefined).map((link) => this.#sayGoodbye(link)));
  }

  #membership() {
    const { id, adminUrl, seeds, store } = this.#options;
    return membershipOf({
      ...{ self: { id, adminUrl }, seeds, replica: store.replica },
      ...{ answered: this.#answered, met: store.met },
    });
  }

  /** This gateway was called by another with the cluster's secret, or has called it: it exists (membership.ts). */
  #meet(gateway: string): void {
    const { store } = this.#options;
    if (store.met.has(gateway)) return;
    store.meet(gateway);
    this.refresh();
  }

  #connect(url: string, id: string | undefined): void {
    const { transport, clock } = this.#options;
    const link = new PeerLink(url, id, transport(url), clock, (each, signal) => this.#exchange(each, signal));
    this.#links.set(url, link);
    link.poke(0);
  }

  #poke(delayMs: number): void {
    for (const link of this.#links.values()) link.poke(delayMs);
  }

  async #exchange(link: PeerLink, signal: AbortSignal): Promise<ExchangeEnd> {
    const { store, clock } = this.#options;
    if (this.#removed()) return "idle";
    const now = clock.now();
    const pullEveryMs = sweepMs * Math.max(1, this.#links.size / pullsPerSweep) - gatherMs;
    const request = rowRequest(store.replica, link.memory, now - link.pulledAt >= pullEveryMs);
    if (request.vector !== undefined) link.pulledAt = now;
    const rows = this.#withheld.select(link.id, link.tables, request.push?.rows ?? []);
    const answer = await link.client.sync(
      this.#message({ ...request, known: 0, next: undefined, rows }),
      exchangeMs,
      signal,
    );
    if (signal.aborted) return "failed";
    if (answer.kind !== "ok") link.pulledAt = -Infinity;
    link.secret = answer.kind !== "failed" ? "taken" : answer.isSecretRefused === true ? "refused" : undefined;
    switch (answer.kind) {
      case "failed":
        link.warning = answer.why;
        return "failed";
      case "refused":
        return this.#refused(link, answer.refusal);
      case "ok":
        return this.#take(link, answer.message);
    }
  }

  #take(link: PeerLink, message: PeerMessage): ExchangeEnd {
    const { store } = this.#options;
    const refusal = this.#judge(message);
    if (refusal !== undefined) {
      link.warning = refusal.error;
      return "failed";
    }
    this.#refusedSince = undefined;
    this.#warnings.delete("refused");
    const isNew = this.#answered.get(link.url) !== message.from.id;
    link.id = message.from.id;
    this.#answered.set(link.url, message.from.id);
    this.#meet(message.from.id);
    const tables = (link.tables = new KnownTables(message));
    const decoded = this.#decode(message);
    if (decoded === undefined) {
      link.warning = this.#warnings.get(message.from.id) ?? "its rows are not understood";
      this.#hear(message);
      return "done";
    }
    const { rows, isWhole, refused } = decoded;
    link.warning = refused;
    const { known, next } = message;
    // Claims nothing of what is incomplete; the rows come again with the next pull.
    const vector =
      (isWhole && tables.hasAll) || message.vector === null ? vectorOf(message) : new Map<string, number>();
    const taken = takeAnswer(
      store.replica,
      { origin: message.from.origin, known, vector, rows, next: next ?? undefined },
      link.memory,
    );
    link.memory = taken.peer;
    store.applied(taken.applied);
    this.#confirmations.heard(message.from.id, known, vector !== undefined && vector.size > 0 && next === null);
    if (message.vector !== null && next === null) this.#hasJoined = true;
    this.#hear(message);
    if (isNew) this.refresh();
    return taken.more ? "more" : "done";
  }

  /** Views count once this gateway has the rows that they refer to. */
  #hear(message: PeerMessage): void {
    if (this.#hasJoined) this.views.heard(message.from.id, message.views);
  }

  #judge({ from }: PeerMessage): PeerRefusal | undefined {
    const { id, adminUrl, clock, store } = this.#options;
    const refusal = refusalOf({
      self: { id, adminUrl },
      from,
      replica: store.replica,
      watch: this.#watch,
      now: clock.now(),
    });
    if (refusal?.reason === "duplicate-id" && from.id === id) this.#warn("duplicate", refusal.error);
    return refusal;
  }

  #refused(link: PeerLink, refusal: PeerRefusal): ExchangeEnd {
    const { clock, store, id, adminUrl } = this.#options;
    link.warning = refusal.error;
    switch (refusal.reason) {
      case "self":
        this.#answered.set(link.url, id);
        link.id = id;
        this.refresh();
        return "idle";
      case "duplicate-id": {
        // Just restarted: peers that still remember the previous run need a moment.
        this.#refusedSince ??= clock.now();
        if (clock.now() - this.#refusedSince > silentMs * 2)
          this.#warn("refused", `${link.url} refuses this gateway: ${refusal.error}; ${refusal.advice}`);
        return "failed";
      }
      case "removed": {
        const isFresh = link.memory.origin === undefined && !this.#hasJoined;
        if (isFresh && refusal.stamp !== undefined) {
          store.writeAfter(
            refusal.stamp,
            putGateway({ id, adminUrl, startedAtMs: Math.floor(clock.wallTime()), deleted: false }),
          );
          return "more";
        }
        this.#warn("removed", `this gateway was removed from the cluster: stop it, or restart it to rejoin`);
        return "idle";
      }
      case "format":
      case "clock":
        return "failed";
    }
  }

  /** True if the registry says that this gateway was removed. */
  #removed(): boolean {
    const { store, id } = this.#options;
    const removed = store.replica.get("gateways", id)?.deleted === true;
    if (removed) this.#warn("removed", "this gateway was removed from the cluster: stop it, or restart it to rejoin");
    return removed;
  }

  /** Undefined: none of the rows can be kept. */
  #decode(message: PeerMessage): DecodedRows | undefined {
    const decoded = decodeRows(message, this.#options.clock.wallTime());
    const { id } = message.from;
    if (decoded.kind === "unknown") {
      const advice = "upgrade this gateway; nothing is lost, it then gets the rows";
      this.#warn(id, `rows of gateway ${id} are not accepted: ${decoded.why}; ${advice}`);
      return undefined;
    }
    if (decoded.refused === undefined) this.#warnings.delete(id);
    else this.#warn(id, `a row from gateway ${id} is not accepted: ${decoded.refused}; the other rows are accepted`);
    return decoded;
  }

  #message(part: RowPart, leaving = false): PeerMessage {
    return composeMessage(this.#options, this.#options.store.replica, part, this.views.now(), leaving);
  }

  async #sayGoodbye(link: PeerLink): Promise<void> {
    const { store, transport } = this.#options;
    const client = transport(link.url);
    const request = { ...rowRequest(store.replica, link.memory, false), vector: undefined, after: undefined };
    const rows = this.#withheld.select(link.id, link.tables, request.push?.rows ?? []);
    const message = this.#message({ ...request, known: 0, next: undefined, rows }, true);
    await client.sync(message, goodbyeMs, new AbortController().signal);
    client.close();
  }

  #warn(key: string, text: string): void {
    if (this.#warnings.get(key) !== text) this.#options.log.warn("peers", { detail: text });
    this.#warnings.set(key, text);
  }

  #housekeeping(): void {
    const { store, clock } = this.#options;
    store.replica.forgetFinishedRuns((origin) => this.#watch.isLive(origin, clock.now(), runForgottenMs));
    this.#timer = clock.setTimer(housekeepingMs, () => this.#housekeeping());
  }
}
