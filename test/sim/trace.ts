/**
 * What happened, in order. Every event of the world goes into the hash, so two runs of one seed that differ anywhere
 * differ in the hash; only the lines that a person wants to read are kept.
 */
export interface TraceLine {
  readonly atMs: number;
  readonly who: string;
  readonly what: string;
}

export class Trace {
  readonly lines: TraceLine[] = [];
  readonly #kept: boolean;
  #low = 0x811c9dc5;
  #high = 0x1234567;
  events = 0;

  constructor(kept: boolean) {
    this.#kept = kept;
  }

  event(atMs: number, label: string): void {
    this.events += 1;
    let low = this.#low;
    let high = this.#high;
    let word = Math.round(atMs * 1024);
    for (let i = 0; ; word = label.charCodeAt(i++)) {
      low = Math.imul(low ^ word, 0x01000193);
      high = Math.imul(high ^ (word + (low >>> 15)), 0x85ebca6b);
      high ^= high >>> 13;
      if (i === label.length) break;
    }
    this.#low = low;
    this.#high = high;
  }

  say(atMs: number, who: string, what: string): void {
    this.event(atMs, what);
    if (this.#kept) this.lines.push({ atMs, who, what });
  }

  get hash(): string {
    return (this.#high >>> 0).toString(16).padStart(8, "0") + (this.#low >>> 0).toString(16).padStart(8, "0");
  }
}
