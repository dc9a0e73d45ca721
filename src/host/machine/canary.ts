/**
 * The canary: every few seconds a small write beside the data and, if this host has written nothing there, into the
 * vault. The results are this host's condition (core/host/condition.ts), reported in its status and its log.
 *
 * It never delays the host. Each place has at most one check in flight; a hung disk keeps its check, and the time since
 * then is the finding. The canary decides nothing: gateways move a primary if another host is in better condition.
 */
import {
  areDescriptorsOut,
  type ConditionEvent,
  type HostCondition,
  type Impairment,
  impairmentsOf,
  initialCondition,
  stepCondition,
  type VaultHealth,
  vaultHealthOf,
  type WriteFailure,
} from "../../core/host/condition.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import type { Store } from "../../vault/store/store.ts";
import type { DiskPlace } from "./disk-places.ts";
import type { WarningCause, Warnings } from "../ports/warnings.ts";
import { messageOf } from "../../runtime/operator-error.ts";
import { ObservedStore } from "./observed-store.ts";
import { endsWithin } from "../../runtime/timeout.ts";
import { VaultProbe } from "./vault-probe.ts";

/**
 * The canary's environment. A place that is undefined is not checked, and only the host's own puts tell about the
 * vault.
 */
export interface CanaryPorts {
  readonly places: readonly DiskPlace[];
  /** "this process has 1024 of 1024 descriptors open; raise LimitNOFILE" */
  describeDescriptors(): Promise<string>;
}

export interface CanaryOptions {
  readonly ports: CanaryPorts | undefined;
  readonly clock: Clock;
  /** Its puts are observed; see `store`. */
  readonly store: Store;
  readonly vaultId: string | undefined;
  readonly host: string;
  readonly instance: string;
  readonly diskStallMs: number;
  readonly warnings: Warnings;
  /** The impairments changed. */
  readonly onChange: () => void;
}

const diskEveryMs = 2_000;
/** A vault that was written this recently is not checked. */
const vaultEveryMs = 5_000;
/** A vault that could not be written is checked sooner. */
const vaultAgainMs = 1_000;

export class Canary {
  /** The store that the host uses: its puts report on the vault. */
  readonly store: Store;
  readonly #options: CanaryOptions;
  readonly #probe: VaultProbe;
  #condition: HostCondition;
  #timers: (Timer | undefined)[] = [];
  #told = "";
  #isStopped = false;

  constructor(options: CanaryOptions) {
    this.#options = options;
    const { clock, store, host, instance } = options;
    this.#condition = initialCondition(options.vaultId);
    this.store = new ObservedStore(store, clock, {
      onPut: (ms) => this.#hear({ kind: "vault-wrote", ms }),
      onPutFailed: (error) => this.#hearPutFailed(error),
    });
    this.#probe = new VaultProbe({ store: this.store, host, instance });
  }

  get impairments(): Impairment[] {
    return impairmentsOf(this.#condition, this.#options.clock.now(), this.#options.diskStallMs);
  }

  get vault(): VaultHealth {
    return vaultHealthOf(this.#condition, this.#options.clock.now());
  }

  start(): void {
    const { ports } = this.#options;
    if (ports === undefined) return;
    for (const [index, place] of ports.places.entries()) this.#askDisk(place, index);
    this.#askVault(ports.places.length);
    this.#lookAgain(ports.places.length + 1);
  }

  /** Stops checking; resolves without waiting for hung checks. */
  async close(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    for (const timer of this.#timers) timer?.cancel();
    const left = Promise.all((this.#options.ports?.places ?? []).map((place) => place.clear()));
    await endsWithin(
      this.#options.clock,
      leaveMsMax,
      left.then(() => undefined),
    );
  }

  #askDisk(place: DiskPlace, timer: number): void {
    this.#hear({ kind: "disk-asked", place: place.name });
    place
      .write()
      .then(
        () => this.#hearDisk(place.name, undefined),
        (error: unknown) => this.#hearDisk(place.name, failureOf(error)),
      )
      .then(() => this.#after(timer, diskEveryMs, () => this.#askDisk(place, timer)))
      .catch(() => undefined);
  }

  async #hearDisk(place: string, failure: WriteFailure | undefined): Promise<void> {
    this.#hear({ kind: "disk-answered", place, failure });
    if (failure === undefined) this.#hear({ kind: "descriptors-are-there" });
    if (areDescriptorsOut(failure?.code)) await this.#hearDescriptorsOut();
  }

  #askVault(timer: number): void {
    this.#lookAtVault()
      .then(
        () => undefined,
        (error: unknown) => this.#hearPutFailed(error),
      )
      .then(() =>
        this.#after(timer, this.vault.writeError === undefined ? vaultEveryMs : vaultAgainMs, () =>
          this.#askVault(timer),
        ),
      )
      .catch(() => undefined);
  }

  async #lookAtVault(): Promise<void> {
    const { store } = this.#options;
    const { wroteMs, writeError } = this.vault;
    if (writeError === undefined && wroteMs !== undefined && wroteMs < vaultEveryMs) return;
    const id = await this.#probe.identify();
    this.#hear({ kind: "vault-identified", id });
    if (id === undefined)
      return this.#hear({
        kind: "vault-failed",
        reason: `${store.url} has no identity.json any more: is the shared area mounted?`,
      });
    await this.#probe.write();
  }

  #hearPutFailed(error: unknown): void {
    this.#hear({ kind: "vault-failed", reason: `the vault cannot be used from this host: ${messageOf(error)}` });
    const cause = error instanceof Error ? failureOf(error.cause) : undefined;
    if (areDescriptorsOut(cause?.code)) this.#hearDescriptorsOut().catch(() => undefined);
  }

  async #hearDescriptorsOut(): Promise<void> {
    const reason = await this.#options.ports?.describeDescriptors();
    this.#hear({ kind: "descriptors-ran-out", reason: `no descriptor is left: ${reason ?? "raise LimitNOFILE"}` });
  }

  /** A stall begins without an event, so it is polled. */
  #lookAgain(timer: number): void {
    this.#tell();
    this.#after(timer, diskEveryMs / 2, () => this.#lookAgain(timer));
  }

  #hear(event: ConditionEvent): void {
    this.#condition = stepCondition(this.#condition, event, this.#options.clock.now());
    this.#tell();
  }

  #tell(): void {
    const { warnings, onChange } = this.#options;
    const found = this.impairments;
    const told = JSON.stringify(found.map(({ kind, reason }) => [kind, reason]));
    if (told === this.#told) return;
    this.#told = told;
    for (const kind of ["disk", "descriptors", "vault"] as const) {
      const reasons = found.filter((one) => one.kind === kind).map(({ reason }) => reason);
      if (reasons.length === 0) warnings.over(conditions[kind]);
      else warnings.warn(reasons.join("; "), conditions[kind]);
    }
    onChange();
  }

  #after(timer: number, delayMs: number, run: () => void): void {
    if (this.#isStopped) return;
    this.#timers[timer] = this.#options.clock.setTimer(delayMs, run);
  }
}

/** Removing the canary's files must not delay the end of a host whose disk hangs. */
const leaveMsMax = 500;

const conditions = { disk: "disk", descriptors: "descriptors", vault: "writes to the vault" } as const satisfies Record<
  Impairment["kind"],
  WarningCause
>;

function failureOf(error: unknown): WriteFailure {
  const code =
    typeof error === "object" && error !== null && "code" in error && typeof error.code === "string"
      ? error.code
      : undefined;
  return { code, message: messageOf(error) };
}
