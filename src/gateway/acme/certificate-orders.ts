/**
 * Certificates of [gateway.tls.acme]: ordered, renewed, and put where the listener finds them.
 *
 * Each gateway has an account and a certificate of its own, so that no private key leaves its machine, and none depends
 * on another one to serve. An authority may ask any of them, since the names lead to all: so the answers, which are no
 * secrets, are shared rows, and an order continues only when the other gateways have confirmed them (or were silent).
 *
 * One would try to break it with an authority that always refuses and a process that always starts again (the time of
 * the next attempt is on the disk), or with a clock by which each new certificate is due at once (orders are apart).
 *
 * Attacked in test/behaviour/http/acme.test.ts: "the next attempt waits", "a certificate of which a third is left".
 */
import { readFileSync } from "node:fs";
import { renewalAtMs, renewalRetryMs } from "../../core/certificate-renewal.ts";
import type { ReplicatedRow } from "../../core/replication/row.ts";
import type { AcmeConfig } from "../../config/acme-config.ts";
import type { Metrics } from "../../metrics/metrics.ts";
import { showClientCertificate } from "../../metrics/show-certificate.ts";
import { BackgroundTasks } from "../../runtime/background-tasks.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import type { Logger } from "../../runtime/log.ts";
import { messageOf, OperatorError } from "../../runtime/operator-error.ts";
import { fromValues } from "../state/replication-tables.ts";
import { addEvent, putChallenge } from "../state/rows.ts";
import type { challenges } from "../state/schema.ts";
import type { StateStore } from "../state/store.ts";
import { acmeCall, type AcmeCall } from "./acme-call.ts";
import { AcmeClient, AcmeError, type ChallengeAnswer, type OrderSteps } from "./acme-client.ts";
import { AcmeFolder, AcmeFolderError } from "./acme-folder.ts";

/** Wall time is looked at again after this: it may have been set, or the machine may have slept. */
export const lookMsMax = 60_000;
/** Also after a certificate: by a wrong clock it may be due at once. */
const ordersApartMsMin = 3_600_000;
/** An answer that its gateway did not take back is asked for no longer. */
const answerMsMax = 24 * 3_600_000;
/** Of the lifetime: what is left when operators are told that it has not been renewed. */
const lateShare = 1 / 6;

export interface CertificateOrdersOptions {
  readonly config: AcmeConfig;
  readonly certificatePath: string;
  readonly gateway: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly store: Pick<StateStore, "write" | "replica">;
  /** Resolves when the other gateways have what this one has written, or were silent for a while. */
  confirm(): Promise<unknown>;
  /** From 0 to 1. Default: at random. */
  readonly jitter?: () => number;
  /** Default: https. */
  readonly call?: AcmeCall;
}

export class CertificateOrders {
  readonly #options: CertificateOrdersOptions;
  readonly #folder: AcmeFolder;
  readonly #client: AcmeClient;
  readonly #background = new BackgroundTasks();
  readonly #closing = new AbortController();
  readonly #jitter: () => number;
  #timer: Timer | undefined;
  /** Why the last attempt failed; undefined: it did not. */
  #failure: string | undefined;

  /** Makes the folder and what a listener needs to start. Throws `OperatorError`. */
  static async prepare(options: CertificateOrdersOptions): Promise<CertificateOrders> {
    const { config, certificatePath, clock } = options;
    assertAnswerable(config.challenge);
    const folder = new AcmeFolder(config, certificatePath);
    await folder.prepare(clock.wallTime());
    return new CertificateOrders(options, folder);
  }

  private constructor(options: CertificateOrdersOptions, folder: AcmeFolder) {
    const { config, clock, store } = options;
    this.#options = options;
    this.#folder = folder;
    this.#jitter = options.jitter ?? Math.random;
    this.#client = new AcmeClient({
      ...{ directory: config.directory, email: config.email, challenge: config.challenge, clock },
      key: folder.accountKey(),
      call: options.call ?? acmeCall(config.caPath === undefined ? undefined : readCa(config.caPath)),
    });
    for (const row of store.replica.rowsOf("challenges")) this.heard(row);
  }

  /** Orders when it is time, from now on. */
  start(): void {
    // What this gateway asked for before it was started again.
    for (const row of [...this.#options.store.replica.rowsOf("challenges")])
      if (row.values["gateway"] === this.#options.gateway && !row.deleted) this.#withdraw(answerOf(row));
    this.#showExpiry();
    this.#schedule();
  }

  /** Warnings for the operator, one sentence each. */
  get warnings(): readonly string[] {
    const { domains } = this.#options.config;
    const current = this.#folder.current();
    const name = domains.join(", ");
    const wallTime = this.#options.clock.wallTime();
    const failed = this.#failure === undefined ? [] : [`the certificate for ${name} was not issued: ${this.#failure}`];
    if (current === undefined || current.isPlaceholder)
      return [`there is no certificate for ${name} yet: clients refuse the connection`, ...failed];
    const { notBeforeMs, notAfterMs } = current;
    const isLate = notAfterMs - wallTime < (notAfterMs - notBeforeMs) * lateShare;
    const until = new Date(notAfterMs).toISOString();
    return isLate ? [`the certificate for ${name} expires at ${until} and is not renewed`, ...failed] : failed;
  }

  /** A row has changed, here or at another gateway. */
  heard(row: ReplicatedRow): void {
    if (row.table !== "challenges") return;
    const answer = answerOf(row);
    const isOpen = !row.deleted && this.#options.clock.wallTime() - Number(row.values["at_ms"]) < answerMsMax;
    try {
      if (isOpen) this.#folder.putAnswer(answer);
      else this.#folder.removeAnswer(answer);
    } catch (error) {
      if (!(error instanceof AcmeFolderError)) throw error;
      this.#failure = error.message;
    }
  }

  async close(): Promise<void> {
    this.#timer?.cancel();
    this.#closing.abort(new Error("the gateway ends"));
    await this.#background.settled();
  }

  #schedule(): void {
    if (this.#closing.signal.aborted) return;
    const wallTime = this.#options.clock.wallTime();
    const dueMs = Math.max(this.#dueAtMs(), this.#folder.lastAttempt()?.notBeforeMs ?? 0) - wallTime;
    this.#timer = this.#options.clock.setTimer(Math.min(lookMsMax, Math.max(0, dueMs)), () => {
      if (dueMs > lookMsMax) this.#schedule();
      else this.#background.own(this.#attempt().then(() => this.#schedule()));
    });
  }

  #dueAtMs(): number {
    const current = this.#folder.current();
    return current === undefined || current.isPlaceholder ? 0 : renewalAtMs(current, this.#jitter());
  }

  async #attempt(): Promise<void> {
    const { clock, config, log } = this.#options;
    const { signal } = this.#closing;
    const steps: OrderSteps = {
      publish: (answers) => this.#publish(answers),
      withdraw: (answers) => answers.forEach((answer) => this.#withdraw(answer)),
    };
    try {
      this.#folder.put(await this.#client.order(config.domains, steps, signal));
      this.#folder.keepAttempt({ failures: 0, notBeforeMs: Math.floor(clock.wallTime() + ordersApartMsMin) });
      this.#failure = undefined;
      const until = new Date(this.#folder.current()?.notAfterMs ?? 0).toISOString();
      log.info("certificate issued", { names: config.domains.join(" "), until, account: this.#client.account ?? "" });
      this.#record("certificate-issued", "info", `for ${config.domains.join(", ")}, until ${until}`);
    } catch (error) {
      if (!signal.aborted) this.#onFailure(error);
    }
    this.#showExpiry();
  }

  #onFailure(error: unknown): void {
    if (!(error instanceof AcmeError) && !(error instanceof AcmeFolderError)) throw error;
    const { clock, config, log } = this.#options;
    const failures = (this.#folder.lastAttempt()?.failures ?? 0) + 1;
    const askedMs = error instanceof AcmeError ? error.retryAfterMs : undefined;
    const notBeforeMs = Math.floor(clock.wallTime() + renewalRetryMs(failures, askedMs, this.#jitter()));
    const again = `the next attempt is at ${new Date(notBeforeMs).toISOString()}`;
    this.#failure = `${messageOf(error)}; ${again}`;
    log.error("certificate not issued", { names: config.domains.join(" "), why: messageOf(error), again });
    this.#record("certificate-refused", "warning", `for ${config.domains.join(", ")}: ${this.#failure}`);
    try {
      this.#folder.keepAttempt({ failures, notBeforeMs });
    } catch (unkept) {
      if (!(unkept instanceof AcmeFolderError)) throw unkept;
      this.#failure = unkept.message;
    }
  }

  async #publish(answers: readonly ChallengeAnswer[]): Promise<void> {
    const { gateway, clock, store, confirm } = this.#options;
    const atMs = Math.floor(clock.wallTime());
    // Here at once: `heard` follows only with the store's turn.
    for (const answer of answers) {
      this.#folder.putAnswer(answer);
      store.write(putChallenge({ ...answer, gateway, atMs }));
    }
    await confirm();
  }

  #withdraw(answer: ChallengeAnswer): void {
    const { gateway, store } = this.#options;
    this.#folder.removeAnswer(answer);
    store.write(putChallenge({ ...answer, gateway, atMs: 0, deleted: true }));
  }

  #record(what: "certificate-issued" | "certificate-refused", level: "info" | "warning", detail: string): void {
    const { clock, gateway, metrics, store } = this.#options;
    const atMs = Math.floor(clock.wallTime());
    const result = what === "certificate-issued" ? "issued" : "refused";
    metrics.counter("stead_certificate_orders_total", { result }).add();
    const id = `${gateway}.certificate-order.${atMs}`;
    store.write(addEvent({ id, atMs, gateway, service: null, host: null, level, what, detail }));
  }

  #showExpiry(): void {
    const current = this.#folder.current();
    const endsAtMs = current?.isPlaceholder === false ? current.notAfterMs : undefined;
    showClientCertificate(this.#options.metrics, endsAtMs);
  }
}

/** Deno's TLS serves no certificate with an extension that is critical and unknown to it, as RFC 8737 wants. */
export function assertAnswerable(challenge: AcmeConfig["challenge"], isDeno = "Deno" in globalThis): void {
  if (challenge === "tls-alpn-01" && isDeno)
    throw new OperatorError("configuration", {
      found: 'gateway.tls.acme.challenge = "tls-alpn-01" under Deno, which cannot show the certificate that it needs',
      accepted: "http-01; or tls-alpn-01 with the executable, Bun or Node",
      advice: 'set challenge = "http-01", and add a [[gateway.listener]] at port 80',
    });
}

function answerOf(row: ReplicatedRow): ChallengeAnswer {
  const { kind, domain, token, keyAuthorization } = fromValues<typeof challenges.$inferSelect>(row);
  return { kind: kind === "tls-alpn-01" ? kind : "http-01", domain, token, keyAuthorization };
}

function readCa(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new AcmeFolderError(path, messageOf(error));
  }
}
