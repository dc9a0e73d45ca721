/**
 * Gateways on a simulated network that loses, repeats and reorders messages: the real replicas and exchanges, simulated
 * time and transport. Used by the test and by scripts/bench-replication.ts. The same seed gives the same run.
 */
import {
  rowAnswer,
  rowRequest,
  takeAnswer,
  unknownPeer,
  type PeerMemory,
  type RowAnswer,
  type RowRequest,
} from "../../../src/core/replication/exchange.ts";
import { RowReplica } from "../../../src/core/replication/replication.ts";
import type { ReplicatedRow } from "../../../src/core/replication/row.ts";
import { HybridClock } from "../../../src/gateway/state/hybrid-clock.ts";

export interface NetworkOptions {
  readonly seed: number;
  readonly gateways: number;
  /** Share of messages that never arrive. */
  readonly loss: number;
  /** Share of messages that arrive twice. */
  readonly repeat: number;
  /** One way, uniform. A wide range reorders. */
  readonly delayMs: { readonly min: number; readonly max: number };
  /** Bytes of a message, for the count; null: not counted. */
  readonly sizeOf: ((message: RowRequest | RowAnswer) => number) | null;
  /** How long changes are gathered before they are pushed. */
  readonly gatherMs?: number;
}

interface Node {
  readonly name: string;
  replica: RowReplica;
  clock: HybridClock;
  runs: number;
  up: boolean;
  readonly peers: Map<string, PeerMemory>;
  /** Exchanges in progress, by peer: the time at which they are given up. */
  readonly busy: Map<string, number>;
  readonly dirty: Set<string>;
  readonly pulledAt: Map<string, number>;
  readonly skewMs: number;
  bytesOut: number;
  messagesOut: number;
}

const sweepMs = 1_000;
const giveUpMs = 1_000;
/** As src/gateway/peers/peers.ts. */
const pullsPerSweep = 4;

export class Network {
  readonly nodes: readonly Node[];
  now = 1_700_000_000_000;
  readonly #options: NetworkOptions;
  readonly #due: { at: number; run: () => void }[] = [];
  readonly #random: () => number;
  readonly #cut = new Set<string>();

  constructor(options: NetworkOptions) {
    this.#options = options;
    this.#random = mulberry32(options.seed);
    this.nodes = Array.from({ length: options.gateways }, (_, index) => {
      // Clocks that differ by minutes, some ahead, some behind.
      const skewMs = (index - Math.floor(options.gateways / 2)) * 97_000;
      return {
        name: `g${index}`,
        replica: new RowReplica(`g${index}~0`),
        clock: this.#clockOf(skewMs),
        runs: 0,
        up: true,
        peers: new Map(),
        busy: new Map(),
        dirty: new Set(),
        pulledAt: new Map(),
        skewMs,
        bytesOut: 0,
        messagesOut: 0,
      };
    });
    this.nodes.forEach((node) => this.#at(this.#random() * sweepMs, () => this.#sweep(node)));
  }

  random(below: number): number {
    return Math.floor(this.#random() * below);
  }

  node(index: number): Node {
    const node = this.nodes[index];
    if (node === undefined) throw new Error(`no gateway ${index}`);
    return node;
  }

  write(index: number, table: string, key: string, values: ReplicatedRow["values"], deleted = false): void {
    const node = this.node(index);
    if (node.up && node.replica.write({ table, key, values, deleted }, node.clock.next()) !== undefined)
      this.#poke(node);
  }

  /**
   * The gateway is gone; with `lose` its database as well, or the part of it that was not written yet (`tail` rows).
   */
  restart(index: number, kept: readonly ReplicatedRow[], vector: ReadonlyMap<string, number>): void {
    const node = this.node(index);
    node.runs++;
    node.replica = new RowReplica(`${node.name}~${node.runs}`);
    node.clock = this.#clockOf(node.skewMs);
    for (const row of kept) node.clock.observe(row.hlc);
    node.replica.merge(kept);
    node.replica.claim(vector);
    node.peers.clear();
    node.busy.clear();
    node.pulledAt.clear();
    node.up = true;
  }

  setUp(index: number, up: boolean): void {
    this.node(index).up = up;
  }

  cut(a: number, b: number, isCut: boolean): void {
    const key = `${Math.min(a, b)}-${Math.max(a, b)}`;
    if (isCut) this.#cut.add(key);
    else this.#cut.delete(key);
  }

  /** Lets time pass. */
  run(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const next = this.#due[0];
      if (next === undefined || next.at > end) break;
      this.#pop();
      this.now = next.at;
      next.run();
    }
    this.now = end;
  }

  /** Lets time pass in which nothing happens: exchanges in progress continue afterwards. */
  skip(ms: number): void {
    this.now += ms;
    for (const due of this.#due) due.at += ms;
  }

  /** Milliseconds until all that are up hold the same; null: not within `withinMs`. */
  converge(withinMs: number, stepMs = 10): number | null {
    for (let spent = 0; spent <= withinMs; spent += stepMs) {
      if (this.converged()) return spent;
      this.run(stepMs);
    }
    return null;
  }

  converged(): boolean {
    const [first, ...rest] = this.nodes.filter(({ up }) => up);
    return first === undefined || rest.every(({ replica }) => sameRows(first.replica, replica));
  }

  /** Starts the count of messages and bytes again. */
  resetCounts(): void {
    for (const node of this.nodes) {
      node.messagesOut = 0;
      node.bytesOut = 0;
    }
  }

  get messages(): number {
    return this.nodes.reduce((sum, { messagesOut }) => sum + messagesOut, 0);
  }

  get bytes(): number {
    return this.nodes.reduce((sum, { bytesOut }) => sum + bytesOut, 0);
  }

  #clockOf(skewMs: number): HybridClock {
    return new HybridClock(() => this.now + skewMs);
  }

  #sweep(node: Node): void {
    for (const peer of this.nodes) if (peer !== node) this.#exchange(node, peer);
    this.#at(sweepMs, () => this.#sweep(node));
  }

  #poke(node: Node): void {
    for (const peer of this.nodes) {
      if (peer === node || node.dirty.has(peer.name)) continue;
      node.dirty.add(peer.name);
      this.#at(this.#options.gatherMs ?? 5, () => {
        if (node.dirty.delete(peer.name)) this.#exchange(node, peer);
      });
    }
  }

  #exchange(from: Node, to: Node): void {
    const givenUpAt = from.busy.get(to.name) ?? 0;
    if (!from.up) return;
    if (givenUpAt > this.now) {
      if (from.dirty.has(to.name)) return;
      from.dirty.add(to.name);
      this.#at(givenUpAt - this.now, () => {
        if (from.dirty.delete(to.name)) this.#exchange(from, to);
      });
      return;
    }
    from.busy.set(to.name, this.now + giveUpMs);
    const { replica } = from;
    const before = from.peers.get(to.name) ?? unknownPeer;
    const pullEveryMs = sweepMs * Math.max(1, (this.nodes.length - 1) / pullsPerSweep) - 100;
    const request = rowRequest(replica, before, this.now - (from.pulledAt.get(to.name) ?? -Infinity) >= pullEveryMs);
    if (request.vector !== undefined) from.pulledAt.set(to.name, this.now);
    this.#send(from, to, request, () => {
      const target = to.replica;
      for (const row of request.push?.rows ?? []) to.clock.observe(row.hlc);
      const { answer } = rowAnswer(target, request);
      this.#send(to, from, answer, () => {
        if (from.replica !== replica) return; // it was restarted meanwhile
        for (const row of answer.rows) from.clock.observe(row.hlc);
        const taken = takeAnswer(replica, answer, before);
        from.peers.set(to.name, taken.peer);
        from.busy.delete(to.name);
        if (taken.more) this.#exchange(from, to);
      });
    });
  }

  #send(from: Node, to: Node, message: RowRequest | RowAnswer, arrive: () => void): void {
    const { loss, repeat, delayMs, sizeOf } = this.#options;
    from.messagesOut++;
    if (sizeOf !== null) from.bytesOut += sizeOf(message);
    const copies = this.#random() < repeat ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      if (this.#random() < loss) continue;
      this.#at(delayMs.min + this.#random() * (delayMs.max - delayMs.min), () => {
        const [a, b] = [this.nodes.indexOf(from), this.nodes.indexOf(to)].sort((x, y) => x - y);
        if (to.up && !this.#cut.has(`${a}-${b}`)) arrive();
      });
    }
  }

  /** A binary heap by time; equal times in no particular order. */
  #at(delayMs: number, run: () => void): void {
    const heap = this.#due;
    heap.push({ at: this.now + delayMs, run });
    for (let child = heap.length - 1; child > 0; ) {
      const parent = (child - 1) >> 1;
      if (!swapIfLater(heap, parent, child)) return;
      child = parent;
    }
  }

  #pop(): void {
    const heap = this.#due;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    heap[0] = last;
    for (let parent = 0; ; ) {
      const left = parent * 2 + 1;
      const child = left + 1 < heap.length && (heap[left + 1]?.at ?? 0) < (heap[left]?.at ?? 0) ? left + 1 : left;
      if (child >= heap.length || !swapIfLater(heap, parent, child)) return;
      parent = child;
    }
  }
}

function swapIfLater(heap: { at: number; run: () => void }[], parent: number, child: number): boolean {
  const [above, below] = [heap[parent], heap[child]];
  if (above === undefined || below === undefined || above.at <= below.at) return false;
  heap[parent] = below;
  heap[child] = above;
  return true;
}

export function sameRows(a: RowReplica, b: RowReplica): boolean {
  if (a.size !== b.size) return false;
  for (const row of a.rows()) {
    const other = b.get(row.table, row.key);
    if (other === undefined || other.origin !== row.origin || other.seq !== row.seq || other.hlc !== row.hlc)
      return false;
  }
  return true;
}

function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
