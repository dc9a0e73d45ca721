/**
 * Finds requests that end the application: they were in flight at its endings repeatedly, and never complete.
 *
 * A *fingerprint* is a method and a path without its query. One that was in flight at an ending is *watched*; it is
 * *suspect* after two endings within ten minutes without completing in between. A suspect is not forwarded for a pause
 * of 10 s, then one request is let through as a trial; each trial that ends the application doubles the pause, up to
 * five minutes. Completing once clears everything.
 *
 * A path that usually completes must not become suspect for being in flight beside the culprit. Between two endings it
 * completes, if anything does. If nothing could, because the same culprit returned at once, a path that was seen to
 * complete within the ten minutes before needs four endings in a row. Completions are sampled while nothing is watched,
 * so ordinary requests cost nothing.
 *
 * How one would break it: watch without observing completions, or let a trial cost the host its last restart (the
 * caller says whether it may).
 *
 * Attacked in test/core/suspects.test.ts: "is not tried while the host could not spare another ending". Attacked by
 * the mutant suspects-complete.
 */
import { allRules, type Rules } from "./rules.ts";

export interface Fingerprint {
  readonly method: string;
  /** Without its query; a long one is cut and ends with a hash of the whole. */
  readonly path: string;
}

/**
 * The form in a host's status and in an order to the next primary. Times are relative, because clocks are not shared.
 */
export interface KnownSuspect extends Fingerprint {
  readonly endings: number;
  readonly trialInMs: number;
  /** 0: watched, not suspect. */
  readonly pauseMs: number;
}

export type RequestStanding =
  | { readonly kind: "free" }
  | { readonly kind: "watched" }
  /** A trial may be made. */
  | { readonly kind: "due" }
  | { readonly kind: "put-aside"; readonly forMs: number; readonly endings: number };

interface Entry extends Fingerprint {
  /** Monotonic times of the endings, oldest first. */
  endings: number[];
  /** 0: not suspect yet. */
  pauseMs: number;
  trialAt: number;
  isOnTrial: boolean;
}

export const suspectWindowMs = 10 * 60_000;
const endingsOfSuspect = 2;
const endingsOfUsual = 4;
const pauseFirstMs = 10_000;
const pauseMostMs = 5 * 60_000;
/** While a trial is in progress, or not allowed yet, clients are told to come back after this. */
const trialLookMs = 1_000;
const entriesMax = 64;
/** Largest number watched per ending; the rest is not watched. */
const entriesPerEndingMax = 32;
const usualMax = 512;
const pathCharactersMax = 200;

export function fingerprintOf(method: string, target: string): Fingerprint {
  const query = target.indexOf("?");
  const path = query === -1 ? target : target.slice(0, query);
  return {
    method,
    path: path.length <= pathCharactersMax ? path : `${path.slice(0, pathCharactersMax)}~${hashOf(path)}`,
  };
}

const keyOf = ({ method, path }: Fingerprint): string => `${method} ${path}`;

export class Suspects {
  readonly #rules: Rules;
  readonly #entries = new Map<string, Entry>();
  /** When a fingerprint was last seen to complete; least recent first. */
  readonly #usual = new Map<string, number>();

  constructor(rules: Rules = allRules) {
    this.#rules = rules;
  }

  /** False: no request needs to be checked. */
  get isWatching(): boolean {
    return this.#entries.size > 0;
  }

  /** `maySpareEnding`: the host can afford a trial that ends the application. */
  standing(request: Fingerprint, now: number, maySpareEnding: boolean): RequestStanding {
    const entry = this.#current(keyOf(request), now);
    if (entry === undefined) return { kind: "free" };
    if (entry.pauseMs === 0) return { kind: "watched" };
    if (now >= entry.trialAt && !entry.isOnTrial && maySpareEnding) return { kind: "due" };
    return { kind: "put-aside", forMs: Math.max(entry.trialAt - now, trialLookMs), endings: entry.endings.length };
  }

  /** Starts the trial of the one request that is let through, after `due`. */
  beginTrial(request: Fingerprint): void {
    const entry = this.#entries.get(keyOf(request));
    if (entry !== undefined) entry.isOnTrial = true;
  }

  /** Ends a trial without a result: it neither completed nor ended the application. */
  abortTrial(request: Fingerprint, now: number): void {
    const entry = this.#entries.get(keyOf(request));
    if (entry?.isOnTrial !== true) return;
    entry.isOnTrial = false;
    entry.trialAt = now + entry.pauseMs;
  }

  /** Returns true if a suspect was cleared by it. */
  completed(request: Fingerprint, now: number): boolean {
    const key = keyOf(request);
    if (!this.#rules.has("suspects-complete")) return false;
    this.#usual.delete(key);
    this.#usual.set(key, now);
    if (this.#usual.size > usualMax)
      for (const [oldest] of this.#usual) return (this.#usual.delete(oldest), this.#clear(key));
    return this.#clear(key);
  }

  /**
   * Records that the application ended while these were in flight, newest first. Returns those that thereby became
   * suspect.
   */
  ended(executing: Iterable<Fingerprint>, now: number): Fingerprint[] {
    const all = new Map<string, Fingerprint>();
    for (const request of executing) all.set(keyOf(request), request);
    const isUsual = (key: string): boolean => now - (this.#usual.get(key) ?? -Infinity) < suspectWindowMs;
    const sorted = [...all].sort(([a], [b]) => Number(isUsual(a)) - Number(isUsual(b)));
    const fresh: Fingerprint[] = [];
    for (const [key, request] of sorted.slice(0, entriesPerEndingMax)) {
      const entry = this.#current(key, now) ?? { ...request, endings: [], pauseMs: 0, trialAt: now, isOnTrial: false };
      entry.endings = [...entry.endings.filter((at) => now - at < suspectWindowMs), now].slice(-endingsOfUsual);
      // Only a trial adds evidence: other requests were in flight before it was set aside, on this host or the previous
      // one (simulation, seed 19439).
      if (entry.isOnTrial) entry.pauseMs = Math.min(entry.pauseMs * 2, pauseMostMs);
      else if (entry.pauseMs === 0 && entry.endings.length >= (isUsual(key) ? endingsOfUsual : endingsOfSuspect)) {
        entry.pauseMs = pauseFirstMs;
        fresh.push(request);
      }
      entry.isOnTrial = false;
      entry.trialAt = now + entry.pauseMs;
      this.#put(key, entry, now);
    }
    return fresh;
  }

  /** Returns suspects, and fingerprints that are only watched (`pauseMs` 0). */
  list(now: number): KnownSuspect[] {
    this.#forget(now);
    return [...this.#entries.values()].map(({ method, path, endings, pauseMs, trialAt }) => ({
      method,
      path,
      endings: endings.length,
      pauseMs,
      trialInMs: Math.max(0, Math.round(trialAt - now)),
    }));
  }

  /** Adopts what another host knows; the worse state wins. */
  adopt(known: readonly KnownSuspect[], now: number): void {
    for (const { method, path, endings, trialInMs, pauseMs } of known) {
      const request = { method, path };
      const key = keyOf(request);
      const mine = this.#current(key, now);
      if (mine !== undefined && mine.endings.length >= endings && mine.pauseMs >= pauseMs) continue;
      this.#put(
        key,
        {
          ...request,
          endings: Array<number>(Math.min(endings, endingsOfUsual)).fill(now),
          pauseMs: Math.min(pauseMs, pauseMostMs),
          trialAt: now + Math.min(trialInMs, pauseMostMs),
          isOnTrial: false,
        },
        now,
      );
    }
  }

  /** Clears everything, on an operator's request. */
  clear(): void {
    this.#entries.clear();
  }

  #clear(key: string): boolean {
    const wasSuspect = (this.#entries.get(key)?.pauseMs ?? 0) > 0;
    this.#entries.delete(key);
    return wasSuspect;
  }

  #current(key: string, now: number): Entry | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined || !isOld(entry, now)) return entry;
    this.#entries.delete(key);
    return undefined;
  }

  #put(key: string, entry: Entry, now: number): void {
    this.#entries.set(key, entry);
    if (this.#entries.size > entriesMax) this.#forget(now);
    // A watched entry makes room before a suspect one.
    for (const [other, { pauseMs }] of this.#entries)
      if (this.#entries.size > entriesMax && pauseMs === 0) this.#entries.delete(other);
    for (const other of this.#entries.keys()) if (this.#entries.size > entriesMax) this.#entries.delete(other);
  }

  #forget(now: number): void {
    for (const [key, entry] of this.#entries) if (isOld(entry, now)) this.#entries.delete(key);
  }
}

const isOld = ({ endings, trialAt }: Entry, now: number): boolean =>
  now >= trialAt && now - (endings.at(-1) ?? -Infinity) >= suspectWindowMs;

/** FNV-1a, 32 bits: it tells long paths apart, nothing more. */
function hashOf(text: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return (hash >>> 0).toString(16);
}
