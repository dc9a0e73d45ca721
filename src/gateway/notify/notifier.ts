/**
 * Tells operators what happens: each occurrence once for the cluster.
 *
 * *Where it comes from.* Rows of the shared tables, own and of peers: a failover that is done, an epoch, an event. They
 * are written anyway; the failover path does not know this file and awaits nothing of it.
 *
 * *Which gateway tells.* The one that acted, at once (core/notify/teller.ts). Two may have ordered the same host in the
 * same moment, and each have a failover that is done: they wait until the rows of both are at both (`togetherMs`), and
 * the first of them in the order of ids has acted. It first writes a row of `notifications`:
 * every other gateway that knows the occurrence finds the row and stays silent. It then sends, and writes a row of
 * `deliveries` for each target when that has ended.
 *
 * *When it dies:*
 * - before its rows reached a peer: the hosts report the new epoch, and each gateway records it. A gateway that knows
 *   of no living gateway with a failover in progress waits `unexplainedMs` and its turn, and tells the epoch.
 * - after `notifications`, before `deliveries`: the next living gateway in the order of ids sends what has no delivery,
 *   once the teller was not heard for `unheardMsMax` and its turn has come. A teller that comes back sends its own.
 *
 * *Exactly once* holds while the teller lives until its row of `deliveries` is at a peer, and also if it dies before it
 * sends; two gateways that cannot hear each other may both tell. A teller that dies between the receiver's answer and
 * that row makes a repetition: *at least once*, with the same id. Lost is what every gateway that knew it forgot: all
 * of them died, or the target could not be told in `attemptsMax` attempts, which is an own outcome and a warning.
 *
 * Nothing older than `newsMsMax` is told: a gateway that joins receives the whole history.
 */
import type { NotifyTarget } from "../../config/types.ts";
import {
  episodeOf,
  isWanted,
  type Notification,
  type NotificationKind,
  primaryNotificationId,
  type NotifySeverity,
  subjectOf,
} from "../../core/notify/notification.ts";
import { isHeard, type KnownGateway, unheardMsMax, waitOf } from "../../core/notify/teller.ts";
import type { ReplicatedRow } from "../../core/replication/row.ts";
import type { Metrics } from "../../metrics/metrics.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import type { Logger } from "../../runtime/log.ts";
import { fromValues } from "../state/replication-tables.ts";
import { addEvent, putDelivery, putNotification } from "../state/rows.ts";
import type { epochs, events, failovers, notifications } from "../state/schema.ts";
import { gatewayOf, type StateStore } from "../state/store.ts";
import { type Occurrence, ofEvent, ofFailover } from "./occurrence.ts";
import { type DeliveryEnd, TargetQueue } from "./target-queue.ts";
import type { Send } from "./send.ts";
import type { SendOutcome } from "./send-outcome.ts";

const lookEveryMs = 1_000;
export const newsMsMax = 10 * 60_000;
/** How long a new epoch may lack a failover that explains it. */
export const unexplainedMs = 5_000;
/** Long enough for a row to reach every gateway that is heard. */
const togetherMs = 500;
const pendingMax = 1_000;

export interface NotifierOptions {
  readonly gateway: string;
  readonly store: StateStore;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly targets: readonly NotifyTarget[];
  readonly send: Send;
  /** The other gateways of the cluster. */
  others(): readonly KnownGateway[];
  /** When this gateway's certificate, or its authority, expires, by the wall clock; undefined: it has none. */
  certificateEndsAtMs(): number | undefined;
}

/** A certificate that ends sooner is told, once a day. */
export const certificateMsMin = 14 * 24 * 3600 * 1_000;

export interface TargetStatus {
  readonly name: string;
  readonly to: string;
  readonly queued: number;
  readonly failure: string | undefined;
}

export class Notifier {
  readonly #options: NotifierOptions;
  readonly #queues: readonly TargetQueue[];
  readonly #pending = new Map<string, Occurrence>();
  /** Notifications for which a target of this gateway may lack a delivery, and since when that is known here. */
  readonly #open = new Map<string, number>();
  #timer: Timer | undefined;
  #soon: Timer | undefined;
  #lastTest = 0;

  constructor(options: NotifierOptions) {
    this.#options = options;
    const { clock, send } = options;
    this.#queues = options.targets.map(
      (target) => new TargetQueue({ target, clock, send, onEnd: (end) => this.#onEnd(target, end) }),
    );
  }

  /** Takes up what earlier runs and other gateways have left, and looks periodically, until `close`. */
  begin(): void {
    if (this.#queues.length === 0) return;
    for (const row of this.#options.store.replica.rowsOf("notifications")) this.#learn(row);
    this.#look();
  }

  /** Records a row that this gateway or a peer wrote. Does no more than remember it. */
  heard(row: ReplicatedRow): void {
    if (this.#queues.length === 0 || row.deleted) return;
    this.#learn(row);
    if (this.#pending.size > pendingMax) {
      const [oldest] = this.#pending.keys();
      if (oldest !== undefined) this.#pending.delete(oldest);
    }
    this.#tellIn(0);
  }

  #tellIn(delayMs: number): void {
    this.#soon ??= this.#options.clock.setTimer(delayMs, () => {
      this.#soon = undefined;
      this.#tell();
    });
  }

  status(): readonly TargetStatus[] {
    return this.#queues.map(({ target, queued, failure }) => ({
      name: target.name,
      to: target.to.kind === "http" ? target.to.format : target.to.kind,
      queued,
      failure,
    }));
  }

  get warnings(): readonly string[] {
    return this.status().flatMap(({ name, failure, queued }) =>
      failure === undefined
        ? []
        : [`notify ${name}: the last attempt failed (${failure}), ${queued} wait; try \`stead notify test ${name}\``],
    );
  }

  /** Sends a test to one target, or to all; returns nothing if there is none. */
  async test(name: string | undefined): Promise<readonly (SendOutcome & { readonly target: string })[]> {
    const meant = this.#queues.filter(({ target }) => name === undefined || target.name === name);
    const { gateway, clock } = this.#options;
    const atMs = Math.floor(clock.wallTime());
    const notification: Notification = {
      id: `/test/${gateway}/${atMs}.${++this.#lastTest}`,
      ...{ kind: "test", severity: "info", service: undefined, host: undefined, gateway, atMs },
      summary: `A test of gateway ${gateway}`,
      detail: "An operator asked for it: nothing has happened.",
    };
    return Promise.all(
      meant.map(async (queue) => ({ ...(await queue.test(notification)), target: queue.target.name })),
    );
  }

  async close(): Promise<void> {
    this.#timer?.cancel();
    this.#soon?.cancel();
    this.#pending.clear();
    this.#open.clear();
    await Promise.all(this.#queues.map((queue) => queue.close()));
  }

  #look(): void {
    this.#lookAtCertificate();
    this.#tell();
    this.#timer = this.#options.clock.setTimer(lookEveryMs, () => this.#look());
  }

  /** The event of a day has one id, so that a restart writes it no second time. */
  #lookAtCertificate(): void {
    const { gateway, store, clock, certificateEndsAtMs } = this.#options;
    const endsAtMs = certificateEndsAtMs();
    const atMs = Math.floor(clock.wallTime());
    if (endsAtMs === undefined || endsAtMs - atMs > certificateMsMin) return;
    const id = `${gateway}.certificate.${new Date(atMs).toISOString().slice(0, "2030-01-01".length)}`;
    if (store.replica.get("events", id) !== undefined) return;
    const detail = `The certificate of gateway ${gateway}, or its authority, expires at ${new Date(endsAtMs).toISOString()}: without a new one, other processes refuse it from then on. Replace it with \`stead ca issue\`.`;
    const event = {
      id,
      atMs,
      gateway,
      service: null,
      host: null,
      level: "warning",
      what: "certificate-expiring",
      detail,
    };
    store.write(addEvent(event));
  }

  #learn(row: ReplicatedRow): void {
    const { clock } = this.#options;
    if (row.table === "notifications") {
      if (!this.#isNews(Number(row.values["at_ms"]))) return;
      if (!this.#open.has(row.key)) this.#open.set(row.key, clock.now());
      return;
    }
    const occurrence = this.#occurrenceOf(row);
    if (occurrence === undefined || !this.#isNews(occurrence.atMs)) return;
    const known = this.#pending.get(occurrence.key);
    // What the acting gateway says of an epoch replaces what the epoch alone says.
    if (known === undefined || (known.epoch !== undefined && occurrence.epoch === undefined))
      this.#pending.set(occurrence.key, occurrence);
  }

  #occurrenceOf(row: ReplicatedRow): Occurrence | undefined {
    const since = this.#options.clock.now();
    switch (row.table) {
      case "failovers":
        return ofFailover(fromValues<typeof failovers.$inferSelect>(row), since);
      case "epochs":
        return this.#ofEpoch(fromValues<typeof epochs.$inferSelect>(row), since);
      case "events":
        return ofEvent(fromValues<typeof events.$inferSelect>(row), since);
      default:
        return undefined;
    }
  }

  /** The first primary of a service is no failover. */
  #ofEpoch(row: typeof epochs.$inferSelect, since: number): Occurrence | undefined {
    const earlier = [...this.#options.store.replica.rowsOf("epochs")]
      .filter(({ values }) => values["service"] === row.service && Number(values["epoch"]) < row.epoch)
      .sort((a, b) => Number(b.values["epoch"]) - Number(a.values["epoch"]))[0];
    if (earlier === undefined) return undefined;
    const id = primaryNotificationId(row.service, row.epoch);
    return {
      ...{ key: id, id, acting: undefined, kind: "failover", severity: "warning", since },
      ...{ service: row.service, host: row.host, atMs: row.firstSeenAtMs, epoch: row.epoch },
      summary: `${row.service}: ${row.host} is the primary, after ${String(earlier.values["host"])}`,
      detail: `Epoch ${row.epoch}. The gateway that ordered it has not told how it went: see \`stead status\`.`,
    };
  }

  /** Takes the word for each occurrence whose time has come, and sends what others have left. */
  #tell(): void {
    for (const occurrence of [...this.#pending.values()]) this.#decide(occurrence);
    for (const [id, since] of [...this.#open]) this.#deliver(id, since);
  }

  #decide(occurrence: Occurrence): void {
    const { gateway, store, clock, others } = this.#options;
    const { key, kind, service, host, atMs } = occurrence;
    const id = occurrence.id ?? episodeOf(subjectOf(kind, service, host), atMs, this.#knownNotifications());
    if (id === undefined || store.replica.get("notifications", id) !== undefined || !this.#isNews(atMs)) {
      this.#pending.delete(key);
      return;
    }
    if (occurrence.epoch !== undefined && this.#isBeingExplained(service ?? "")) {
      // Counted from the end of that failover: all gateways see it at once, and would otherwise tell at once.
      this.#pending.set(key, { ...occurrence, since: clock.now() });
      return;
    }
    const acting = this.#actingOf(occurrence);
    const restMs = occurrence.epoch !== undefined ? unexplainedMs : acting.isShared ? togetherMs : 0;
    const leftMs = occurrence.since + waitOf(gateway, acting.gateway, others()) + restMs - clock.now();
    if (leftMs > 0) {
      if (leftMs < lookEveryMs) this.#tellIn(leftMs);
      return;
    }
    this.#pending.delete(key);
    const { severity, summary, detail } = occurrence;
    store.write(
      putNotification({
        ...{ id, teller: gateway, atMs, kind, severity, summary, detail },
        ...{ service: service ?? null, host: host ?? null },
      }),
    );
  }

  /** `isShared`: others may have acted as well, and their rows are on the way. */
  #actingOf({ acting, takeover }: Occurrence): { readonly gateway: string | undefined; readonly isShared: boolean } {
    const { gateway, store, others } = this.#options;
    if (acting === undefined || takeover === undefined) return { gateway: acting, isShared: false };
    const alive = new Set([gateway, ...others().flatMap((other) => (isHeard(other) ? [other.id] : []))]);
    const ids = [...store.replica.rowsOf("failovers")].flatMap(({ values, deleted, origin }) =>
      !deleted &&
      values["service"] === takeover.service &&
      values["epoch_to"] === takeover.epoch &&
      values["outcome"] === "done" &&
      alive.has(gatewayOf(origin))
        ? [gatewayOf(origin)]
        : [],
    );
    return { gateway: ids.sort()[0] ?? acting, isShared: true };
  }

  /** True while a gateway that is alive has a failover of the service in progress: it tells how that ended. */
  #isBeingExplained(service: string): boolean {
    const { gateway, store, others } = this.#options;
    const alive = new Set(
      others()
        .filter(isHeard)
        .map(({ id }) => id),
    );
    return [...store.replica.rowsOf("failovers")].some(
      ({ values, deleted, origin }) =>
        !deleted &&
        values["service"] === service &&
        values["outcome"] === "running" &&
        (gatewayOf(origin) === gateway ? origin === store.replica.origin : alive.has(gatewayOf(origin))),
    );
  }

  *#knownNotifications(): Iterable<{ readonly id: string; readonly atMs: number }> {
    for (const { key, values } of this.#options.store.replica.rowsOf("notifications"))
      yield { id: key, atMs: Number(values["at_ms"]) };
  }

  #deliver(id: string, since: number): void {
    const { store, gateway } = this.#options;
    const row = store.replica.get("notifications", id);
    const notification =
      row === undefined ? undefined : notificationOf(fromValues<typeof notifications.$inferSelect>(row));
    const lacking = this.#queues.filter(
      ({ target }) =>
        notification !== undefined &&
        isWanted(target, notification) &&
        store.replica.get("deliveries", `${id}\n${target.name}`) === undefined,
    );
    if (notification === undefined || lacking.length === 0 || !this.#isNews(notification.atMs)) {
      this.#open.delete(id);
      return;
    }
    if (notification.gateway !== gateway && !this.#isLeft(notification.gateway, since)) return;
    for (const queue of lacking) queue.add(notification);
  }

  /** True if a teller is not heard any more and it is this gateway's turn. */
  #isLeft(teller: string, since: number): boolean {
    const { gateway, clock, others } = this.#options;
    const all = others();
    const known = all.find(({ id }) => id === teller);
    if (known !== undefined && isHeard(known)) return false;
    const silentMs = known?.heardMsAgo ?? clock.now() - since;
    return silentMs >= unheardMsMax + waitOf(gateway, undefined, all);
  }

  #onEnd(target: NotifyTarget, { notification, outcome, attempts, why }: DeliveryEnd): void {
    const { gateway, store, clock, log, metrics } = this.#options;
    metrics.counter("stead_notifications_total", { target: target.name, outcome }).add();
    if (outcome === "failed")
      log.error("notification not told", { target: target.name, notification: notification.id, why: why ?? "" });
    const delivery = { notification: notification.id, target: target.name, gateway, outcome, attempts };
    store.write(putDelivery({ ...delivery, endedAtMs: Math.floor(clock.wallTime()), detail: why ?? null }));
  }

  #isNews(atMs: number): boolean {
    return this.#options.clock.wallTime() - atMs < newsMsMax;
  }
}

const notificationOf = (row: typeof notifications.$inferSelect): Notification => ({
  id: row.id,
  kind: row.kind as NotificationKind,
  severity: row.severity as NotifySeverity,
  service: row.service ?? undefined,
  host: row.host ?? undefined,
  gateway: row.teller,
  atMs: row.atMs,
  summary: row.summary,
  detail: row.detail,
});
