/**
 * What the pauses of the hand-over cost applications of several kinds, and what they give: clients that send one
 * request after the other, the journal's loop with its group commit, and requests that take random times. On a clock
 * that the test moves, so nothing here depends on the machine.
 */
import { expect, test } from "bun:test";
import { SeededRandom } from "../../../harness/seeded-random.ts";
import { RequestNames } from "../../../src/core/request-names.ts";
import { Handover } from "../../../src/host/application/handover.ts";
import { FlushGroup } from "../../../src/host/primary/flush-group.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";

const stepMs = 0.05;
const collectMs = 0.2;
const betweenMs = 0.2;
const answer = { kind: "answered", status: 201, bodyBytes: 1, sha256: "00" } as const;

interface Kind {
  /** Requests that the application executes at a time. */
  readonly atATime: number;
  /** Of one request, on average, and whether it varies exponentially or within 40 percent. */
  readonly ms: number;
  readonly varies: "much" | "little";
  readonly clients: number;
  /** One in so many takes so long. */
  readonly slow?: { readonly oneIn: number; readonly ms: number };
  /** Of a put. */
  readonly putMs: number;
}

interface Figures {
  readonly perSecond: number;
  /** Named requests in the application at a collection, on average. */
  readonly executing: number;
}

class Load {
  readonly #kind: Kind;
  readonly #clock = new ManualClock();
  readonly #dice = new SeededRandom(1);
  readonly #handover: Handover | undefined;
  readonly #group = new FlushGroup(this.#clock);
  readonly #freeAtMs: number[];
  #waiters: (() => void)[] = [];
  #onWaiter: (() => void) | undefined;
  #executing = 0;
  #done = 0;
  #flushes = 0;
  #executingAtFlushes = 0;

  constructor(kind: Kind, pauses: boolean) {
    this.#kind = kind;
    this.#freeAtMs = Array.from({ length: Math.min(kind.atATime, kind.clients) }, () => 0);
    if (pauses) this.#handover = new Handover(new RequestNames(), this.#clock);
  }

  /** Counts from then on, milliseconds. */
  async run(forMs: number, fromMs: number): Promise<Figures> {
    for (let number = 0; number < this.#kind.clients; number++) void this.#client(number);
    void this.#journal();
    for (let nowMs = 0; nowMs < forMs; nowMs += stepMs) {
      this.#clock.advance(stepMs);
      for (let turn = 0; turn < 12; turn++) await Promise.resolve();
      if (nowMs < fromMs) [this.#done, this.#flushes, this.#executingAtFlushes] = [0, 0, 0];
    }
    return { perSecond: (1_000 * this.#done) / (forMs - fromMs), executing: this.#executingAtFlushes / this.#flushes };
  }

  #tookMs(): number {
    const { ms, varies, slow } = this.#kind;
    if (slow !== undefined && this.#dice.fraction() * slow.oneIn < 1) return slow.ms;
    return varies === "much" ? -Math.log(1 - this.#dice.fraction()) * ms : ms * (0.6 + 0.8 * this.#dice.fraction());
  }

  async #execute(): Promise<void> {
    const place = this.#freeAtMs.indexOf(Math.min(...this.#freeAtMs));
    const endMs = Math.max(this.#freeAtMs[place] ?? 0, this.#clock.now()) + this.#tookMs();
    this.#freeAtMs[place] = endMs;
    this.#executing += 1;
    await this.#clock.sleep(endMs - this.#clock.now());
    this.#executing -= 1;
  }

  async #client(number: number): Promise<void> {
    const handover = this.#handover;
    for (let count = 1; ; count++) {
      const request = {};
      if (handover?.isOpen === false) await handover.whenOpen();
      handover?.begin(request, { run: String(number).padStart(16, "0"), count, after: 0, isAgain: false }, 0);
      await this.#execute();
      handover?.answered(request, answer);
      await new Promise<void>((resolve) => {
        this.#waiters.push(resolve);
        this.#group.join("next");
        this.#onWaiter?.();
      });
      this.#done += 1;
      await this.#clock.sleep(betweenMs);
    }
  }

  async #journal(): Promise<void> {
    for (;;) {
      await this.#whenFlushIsDue();
      await this.#handover?.pause(this.#group.flushMs);
      await this.#group.during(async () => {
        const covered = this.#waiters.splice(0);
        this.#executingAtFlushes += this.#executing;
        this.#flushes += 1;
        await this.#clock.sleep(collectMs);
        this.#handover?.release();
        this.#handover?.names.take();
        await this.#clock.sleep(this.#kind.putMs);
        for (const resolve of covered) resolve();
      });
    }
  }

  async #whenFlushIsDue(): Promise<void> {
    while (this.#waiters.length === 0) await this.#whenWaiter();
    while (this.#handover?.isTakingTurns !== true && this.#group.waitMs() > 0)
      await Promise.race([this.#clock.sleep(this.#group.waitMs()), this.#whenWaiter()]);
  }

  #whenWaiter(): Promise<void> {
    return new Promise((resolve) => (this.#onWaiter = resolve));
  }
}

async function compare(
  kind: Kind,
  forMs: number,
  fromMs = 0,
): Promise<{ readonly free: Figures; readonly paused: Figures }> {
  return {
    free: await new Load(kind, false).run(forMs, fromMs),
    paused: await new Load(kind, true).run(forMs, fromMs),
  };
}

test.each([
  { atATime: 1, ms: 1, varies: "much", clients: 16, putMs: 1.5, isAsFast: 0.93 },
  { atATime: 1, ms: 3, varies: "much", clients: 16, putMs: 1.5, isAsFast: 0.93 },
  { atATime: 1, ms: 1, varies: "much", clients: 64, putMs: 1.5, isAsFast: 0.93 },
  { atATime: 1, ms: 1, varies: "little", clients: 4, putMs: 1.5, isAsFast: 0.85 },
  { atATime: 1, ms: 1, varies: "little", clients: 16, putMs: 10, isAsFast: 1 },
] as const)(
  "one by one, $ms ms each that vary $varies, $clients clients, puts of $putMs ms: $isAsFast as fast, and hardly one is in the application at a collection",
  async (kind) => {
    const { free, paused } = await compare(kind, 5_000);
    expect(free.executing).toBeGreaterThan(1);
    expect(paused.executing).toBeLessThan(0.06 * kind.clients);
    expect(paused.perSecond).toBeGreaterThan(kind.isAsFast * free.perSecond);
  },
);

test.each([
  { atATime: 64, ms: 1, varies: "much", clients: 16, putMs: 1.5 },
  { atATime: 64, ms: 5, varies: "much", clients: 16, putMs: 1.5 },
  { atATime: 64, ms: 5, varies: "much", clients: 64, putMs: 1.5 },
  { atATime: 64, ms: 4, varies: "little", clients: 16, putMs: 1.5 },
  { atATime: 64, ms: 20, varies: "much", clients: 16, putMs: 1.5 },
  { atATime: 4, ms: 4, varies: "much", clients: 16, putMs: 1.5 },
  { atATime: 64, ms: 2, varies: "little", clients: 16, putMs: 1.5, slow: { oneIn: 50, ms: 100 } },
] as const)(
  "$atATime at a time, $ms ms each that vary $varies, $clients clients: hardly slower, once that is tried",
  async (kind) => {
    const { free, paused } = await compare(kind, 20_000, 10_000);
    expect(paused.perSecond).toBeGreaterThan(0.93 * free.perSecond);
  },
);
