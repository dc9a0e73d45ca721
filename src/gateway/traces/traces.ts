/**
 * What leaves this gateway as spans. The failover path does not know this file: rows of failovers are written anyway,
 * and requests are counted anyway.
 *
 * A failover is told by the gateway whose row it is, once its outcome is known, and a little later, so that the gap is
 * in the same batch; a gap that becomes known after that follows alone. A row is rewritten several times; what was told
 * is not told again, and nothing older than `toldMsMax` is told, because a gateway that joins receives the whole
 * history.
 */
import type { TracesConfig } from "../../config/types.ts";
import type { ReplicatedRow } from "../../core/replication/row.ts";
import type { TracedRequest } from "../../http/proxy/request-trace.ts";
import type { Metrics } from "../../metrics/metrics.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import type { Random } from "../../runtime/random.ts";
import { fromValues } from "../state/replication-tables.ts";
import type { FailoverRow } from "../state/rows.ts";
import type { failovers } from "../state/schema.ts";
import { failoverContext, failoverSpans, gapSpans } from "./failover-spans.ts";
import { type ExportSpans, exporterTo, type TraceResource } from "./otlp.ts";
import { isInSample, requestSpans } from "./request-spans.ts";
import type { SpanContext } from "./span.ts";
import { SpanQueue } from "./span-queue.ts";

export const toldMsMax = 10 * 60_000;
/** How long the gap is waited for. */
const settleMs = 1_000;
const tellingsMax = 200;
/** A request is lost before its gateway decides: it may begin to wait this long before. */
const aroundMs = 5_000;

export interface TracesOptions {
  readonly config: TracesConfig;
  readonly resource: TraceResource;
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: Metrics;
  /** Default: as the configuration says. */
  readonly send?: ExportSpans | undefined;
}

/** A failover that this gateway tells. `timer` undefined: it is told, apart from the gap if that was not known. */
interface Telling {
  row: FailoverRow;
  timer: Timer | undefined;
  isGapTold: boolean;
}

export class Traces {
  readonly #options: TracesOptions;
  readonly #queue: SpanQueue;
  readonly #telling = new Map<string, Telling>();
  /** The newest failover of each service, of any gateway. */
  readonly #newest = new Map<string, FailoverRow>();

  constructor(options: TracesOptions) {
    this.#options = options;
    const { config, clock, random, metrics, resource, send = exporterTo(config) } = options;
    const counter = (outcome: string) => metrics.counter("stead_trace_spans_total", { outcome });
    const counters = { sent: counter("sent"), rejected: counter("rejected"), dropped: counter("dropped") };
    this.#queue = new SpanQueue({ clock, random, resource, send, counters });
  }

  get warnings(): readonly string[] {
    const { failure, queued } = this.#queue;
    return failure === undefined
      ? []
      : [
          `gateway.traces: the last attempt to send spans failed (${failure}), ${queued} wait; traces lack what is given up, clients notice nothing`,
        ];
  }

  /** A row that this gateway or a peer wrote. */
  heard(stored: ReplicatedRow): void {
    if (stored.table !== "failovers" || stored.deleted) return;
    const row = fromValues<typeof failovers.$inferSelect>(stored);
    const { gateway } = this.#options.resource;
    if (this.#options.clock.wallTime() - row.decidedAtMs > toldMsMax) return;
    if (row.decidedAtMs >= (this.#newest.get(row.service)?.decidedAtMs ?? 0)) this.#newest.set(row.service, row);
    if (row.gateway === gateway && row.outcome !== "running") this.#tell(row);
  }

  requestEnded(service: string, request: TracedRequest): void {
    const { config, resource, random } = this.#options;
    if (!isInSample(request.traceId, config.sample)) return;
    const place = { service, gateway: resource.gateway, failover: this.#failoverOf(service, request) };
    this.#queue.add(requestSpans(request, place, random), "request");
  }

  async close(): Promise<void> {
    for (const telling of this.#telling.values()) telling.timer?.cancel();
    this.#telling.clear();
    await this.#queue.close();
  }

  #tell(row: FailoverRow): void {
    const { clock } = this.#options;
    const telling = this.#telling.get(row.id);
    if (telling === undefined) {
      const timer = clock.setTimer(settleMs, () => this.#send(row.id));
      this.#telling.set(row.id, { row, timer, isGapTold: false });
      this.#forget();
      return;
    }
    telling.row = row;
    const gap = telling.timer === undefined && !telling.isGapTold ? gapSpans(row) : [];
    if (gap.length === 0) return;
    telling.isGapTold = true;
    this.#queue.add(gap, "failover");
  }

  #send(id: string): void {
    const telling = this.#telling.get(id);
    if (telling === undefined) return;
    telling.timer = undefined;
    telling.isGapTold = gapSpans(telling.row).length > 0;
    this.#queue.add(failoverSpans(telling.row), "failover");
  }

  #forget(): void {
    const [oldest] = this.#telling;
    if (this.#telling.size <= tellingsMax || oldest === undefined) return;
    oldest[1].timer?.cancel();
    this.#telling.delete(oldest[0]);
  }

  /** The failover that was decided around the time in which the request waited. */
  #failoverOf(service: string, { steps }: TracedRequest): SpanContext | undefined {
    const newest = this.#newest.get(service);
    const from = Math.min(...steps.map(({ startMs }) => startMs)) - aroundMs;
    const to = Math.max(...steps.map(({ endMs }) => endMs));
    if (newest === undefined || newest.decidedAtMs < from || newest.decidedAtMs > to) return undefined;
    return failoverContext(newest.id);
  }
}
