/**
 * The network: messages between nodes with delay, cuts in one or both directions, slow links, and connections on top.
 *
 * It behaves like TCP: within a connection messages keep their order and are not doubled; across connections nothing is
 * promised. What is sent into a cut is lost for good, or arrives after the cut has healed (retransmission), even when
 * the sender has given up meanwhile: so orders can arrive late.
 */
import type { SeededRandom } from "../../harness/seeded-random.ts";
import type { SimProcess } from "./sim-process.ts";
import type { World } from "./world.ts";

export interface NetworkOptions {
  readonly delayMs: readonly [number, number];
  /** Share of messages that meet a lost packet and come a retransmission later. */
  readonly lossShare: number;
  readonly retransmitMs: number;
  /** Share of messages sent into a cut that arrive after it; the others are lost. */
  readonly heldShare: number;
}

const retransmissionsMsMax = 3_000;

/** A machine, as the network sees it. */
export interface Node {
  readonly name: string;
  /** Undefined when nothing listens there. */
  readonly process: SimProcess | undefined;
  /** A machine without power answers nothing, not even "refused". */
  readonly hasPower: boolean;
}

export class Network {
  readonly world: World;
  readonly #dice: SeededRandom;
  readonly #options: NetworkOptions;
  readonly #cuts = new Map<string, number>();
  readonly #slow = new Map<string, number>();
  #held: { readonly from: string; readonly to: string; readonly go: () => void }[] = [];

  constructor(world: World, dice: SeededRandom, options: NetworkOptions) {
    this.world = world;
    this.#dice = dice;
    this.#options = options;
  }

  cut(from: string, to: string): void {
    const key = `${from}>${to}`;
    this.#cuts.set(key, (this.#cuts.get(key) ?? 0) + 1);
  }

  mend(from: string, to: string): void {
    const key = `${from}>${to}`;
    const left = (this.#cuts.get(key) ?? 0) - 1;
    if (left > 0) this.#cuts.set(key, left);
    else this.#cuts.delete(key);
    if (left > 0) return;
    const freed = this.#held.filter((message) => message.from === from && message.to === to);
    this.#held = this.#held.filter((message) => !freed.includes(message));
    for (const { go } of freed) this.world.after(this.#dice.between(1, this.#options.retransmitMs), "held", go);
  }

  slowDown(from: string, to: string, factor: number): void {
    if (factor === 1) this.#slow.delete(`${from}>${to}`);
    else this.#slow.set(`${from}>${to}`, factor);
  }

  mendAll(): void {
    this.#slow.clear();
    for (const key of this.#cuts.keys()) this.#cuts.set(key, 1);
    for (const key of [...this.#cuts.keys()]) {
      const [from = "", to = ""] = key.split(">");
      this.mend(from, to);
    }
  }

  isCut(from: string, to: string): boolean {
    return this.#cuts.size > 0 && this.#cuts.has(`${from}>${to}`);
  }

  /** Each time that a retransmission is lost as well the kernel waits twice as long (RFC 6298, 5.5). */
  #retransmission(): number {
    let waits = this.#options.retransmitMs;
    let delay = waits;
    while (delay < retransmissionsMsMax && this.#dice.chance(0.5)) delay += waits *= 2;
    return delay;
  }

  /** Arrives once, later or never. `notBefore`: keeps the order within a connection. */
  send(from: string, to: string, label: string, notBefore: number, deliver: () => void): number {
    if (this.isCut(from, to)) {
      if (this.#dice.chance(this.#options.heldShare)) this.#held.push({ from, to, go: deliver });
      return notBefore;
    }
    const [least, most] = this.#options.delayMs;
    let delay = this.#dice.between(least, most);
    if (this.#slow.size > 0) delay *= this.#slow.get(`${from}>${to}`) ?? 1;
    if (this.#dice.chance(this.#options.lossShare)) delay += this.#retransmission();
    const at = Math.max(notBefore, this.world.now + delay);
    this.world.after(at - this.world.now, label, deliver);
    return at;
  }
}

export type ConnectionEnd = "ended" | "refused" | "reset" | "aborted";

export interface ClientHandlers<Answer> {
  readonly onLine: (line: Answer) => void;
  /** Once, and nothing after it. */
  readonly onEnd: (how: ConnectionEnd) => void;
}

/** The server's end of a connection. */
export interface ServerEnd<Answer> {
  readonly isClosed: boolean;
  send(line: Answer): void;
  end(): void;
  /** The line and the end in one message, as a response that fits a packet. */
  answer(line: Answer): void;
  reset(): void;
  onClose(tell: () => void): void;
}

export interface Dialled {
  /** The client closes: nothing more is delivered to it. */
  abort(): void;
}

export interface DialOptions<Answer> extends ClientHandlers<Answer> {
  readonly network: Network;
  readonly client: SimProcess;
  readonly from: string;
  readonly to: Node;
  readonly label: string;
  /** Runs in the process that listens when the message arrives. */
  readonly serve: (process: SimProcess, end: ServerEnd<Answer>) => void;
}

/** Opens a connection with one message on it. The caller has its own time limits. */
export function dial<Answer>(options: DialOptions<Answer>): Dialled {
  const { network, client, from, to, label } = options;
  let isOver = false;
  let isAborted = false;
  let serverSideOver = false;
  let backArrival = 0;
  let closeServer: () => void = () => undefined;
  const leaveClient = client.whenDead(() => abort());
  const finish = (how: ConnectionEnd): void => {
    if (isOver) return;
    isOver = true;
    leaveClient();
    client.enter(() => {
      if (!isAborted) options.onEnd(how);
    });
  };
  const back = (what: string, deliver: () => void): void => {
    backArrival = network.send(to.name, from, `${label}<${what}`, backArrival, deliver);
  };
  const abort = (): void => {
    if (isAborted) return;
    isAborted = true;
    if (isOver) return;
    isOver = true;
    leaveClient();
    network.send(from, to.name, `${label} closed`, 0, () => closeServer());
  };

  network.send(from, to.name, label, 0, () => {
    if (!to.hasPower) return;
    const process = to.process;
    if (process === undefined || process.isDead) return back("refused", () => finish("refused"));
    const closers: (() => void)[] = [];
    const leaveServer = process.whenDead((how) => {
      if (serverSideOver) return;
      serverSideOver = true;
      if (how === "crash") back("reset", () => finish("reset"));
    });
    const over = (how: "ended" | "reset"): void => {
      if (serverSideOver) return;
      serverSideOver = true;
      leaveServer();
      back(how, () => finish(how));
    };
    closeServer = () => {
      if (serverSideOver) return;
      serverSideOver = true;
      leaveServer();
      for (const tell of closers.splice(0)) process.enter(tell);
    };
    const end: ServerEnd<Answer> = {
      get isClosed() {
        return serverSideOver;
      },
      send: (line) => {
        if (serverSideOver) return;
        back("line", () => {
          if (isOver) return;
          client.enter(() => {
            if (!isAborted) options.onLine(line);
          });
        });
      },
      end: () => over("ended"),
      answer: (line) => {
        if (serverSideOver) return;
        serverSideOver = true;
        leaveServer();
        back("answer", () => {
          if (isOver) return;
          isOver = true;
          leaveClient();
          client.enter(() => {
            if (!isAborted) options.onLine(line);
            if (!isAborted) options.onEnd("ended");
          });
        });
      },
      reset: () => over("reset"),
      onClose: (tell) => void closers.push(tell),
    };
    process.enter(() => options.serve(process, end));
  });
  return { abort };
}
