/**
 * A brake for failovers that do not help: what ended one primary ends the next one too, and every takeover costs its
 * clients the requests in flight, an epoch, and a folder with data that was set aside.
 *
 * Losses of one service form a chain as long as each takes a primary that had its office for less than a minute, for
 * the same cause. The first two are answered at once. From the third on the next takeover waits until a pause after the
 * one before it is over: 2 s, doubling to 60 s. A pause counts from the last *takeover*, so a primary that serves for
 * longer than the pause costs no wait at all. All gateways see the same epochs, whichever of them acted, so each keeps
 * the chain for itself and the next one that acts brakes too.
 *
 * The cause is what the gateway saw and what the host said, without its figures: "application ended 4 times" and "5
 * times" are one.
 *
 * A process that is gone says nothing of why, and three machines may well be switched off within a minute. So a kill or
 * a hang is part of a chain only when it took the primary within `suddenMsMax` of its takeover, and such a pause ends
 * at `suddenPauseMsMax`: a killed host has to be started again first, which takes its own time.
 *
 * An orderly end (a switchover, a stop of the host) is no cause, and an operator's order waits for nothing.
 */
import { handoverEndsAt } from "./relation.ts";
import type { FailoverKind, HostReport, ServiceState } from "./state.ts";
import type { Brake, Cause, Loss } from "./loss.ts";

const windowMs = 60_000;
/** Losses of a chain that are answered at once. */
const freeLosses = 2;
const pauseMsMin = 2_000;
const pauseMsMax = 60_000;
const suddenMsMax = 2_000;
const suddenPauseMsMax = 10_000;
/** Enough for the longest pause: 2 s doubled five times, after the two that are free. */
const lossesKept = 10;

const isSudden = ({ kind }: Cause): boolean => kind === "kill" || kind === "hang";
const isShort = ({ cause, tenureMs }: Pick<Loss, "cause" | "tenureMs">): boolean =>
  tenureMs <= (isSudden(cause) ? suddenMsMax : windowMs);

export const remember = (losses: readonly Loss[], loss: Loss): readonly Loss[] => [...losses, loss].slice(-lossesKept);

/** Whether the loss of a primary now, after that tenure, has to wait. null: it is the beginning of a chain. */
export function brakeOf(losses: readonly Loss[], cause: Cause, tenureMs: number, now: number): Brake | null {
  const chain: Loss[] = [];
  let next: Pick<Loss, "cause" | "tenureMs"> = { cause, tenureMs };
  for (const loss of losses.toReversed()) {
    if (!isShort(next) || fingerprint(loss.cause) !== fingerprint(cause)) break;
    chain.push(loss);
    next = loss;
  }
  const [last] = chain;
  const first = chain.at(-1);
  if (last === undefined || first === undefined) return null;
  const nth = chain.length + 1;
  const longestMs = isSudden(cause) ? suddenPauseMsMax : pauseMsMax;
  const pauseMs = nth <= freeLosses ? 0 : Math.min(longestMs, pauseMsMin * 2 ** (nth - freeLosses - 1));
  return { until: last.at + pauseMs, nth, spanMs: now - first.at, cause };
}

/**
 * The row in which the service is now: the one that waits, or the one whose last loss was answered within the last
 * minute. null: there is none.
 */
export function currentRow(
  { phase, losses, primary }: ServiceState,
  now: number,
): (Brake & { readonly epoch: number }) | null {
  if (phase.kind === "down" && phase.because.kind === "braked" && phase.failover.brake !== null)
    return { ...phase.failover.brake, epoch: phase.failover.epochFrom };
  const last = losses.at(-1);
  if (last === undefined || now - last.at > windowMs) return null;
  const row = brakeOf(losses.slice(0, -1), last.cause, last.tenureMs, last.at);
  return row === null || row.nth <= freeLosses ? null : { ...row, until: last.at, epoch: (primary?.epoch ?? 1) - 1 };
}

/** Figures aside: counts, ports, process ids and times differ from one primary to the next. */
const fingerprint = ({ kind, text }: Cause): string => `${kind}\n${text.replaceAll(/\d+/g, "#")}`;

/** "epoch 7 is the third in 40 s: its application ended". */
export function brakeInWords({ nth, spanMs, cause }: Brake, epoch: number): string {
  return `epoch ${epoch} is the ${ordinal(nth)} in ${Math.max(1, Math.round(spanMs / 1_000))} s: ${cause.text}`;
}

const ordinals = ["", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"];
const ordinal = (nth: number): string => ordinals[nth] ?? `${nth}th`;

/** What ended the present primary, as far as this gateway can see; null: nothing that could go round. */
export function causeOfLoss(state: ServiceState, now: number): Cause | null {
  const { phase, primary, hosts } = state;
  if ("failover" in phase && isOrdered(phase.failover.kind)) return null;
  if ("failover" in phase && phase.failover.cause !== null) return phase.failover.cause;
  const view = primary === null ? undefined : hosts.get(primary.host);
  if (primary === null || view === undefined) return null;
  const { health, report } = view;
  if (health.kind === "down") {
    if (health.cause === "vault") return { kind: "hang", text: "it could not reach the vault, and others could" };
    const isGone = health.cause === "refused" || health.cause === "reset";
    return isGone
      ? { kind: "kill", text: "its host process was gone" }
      : { kind: "hang", text: "its host process did not answer" };
  }
  if (report === null) return null;
  if (primary.instance !== null && report.instance !== primary.instance)
    return { kind: "kill", text: "its host process was gone" };
  if (now < handoverEndsAt(view) || report.reason === orderlyEnd) {
    const [impairment] = report.impairments;
    return impairment === undefined ? null : impairedBy(impairment);
  }
  return {
    kind: "stepped-down",
    text: report.retry?.reason ?? report.reason ?? "it stepped down without a reason",
  };
}

export const impairedBy = ({ kind, reason }: HostReport["impairments"][number]): Cause => ({
  kind: "impaired",
  text: `its ${kind} is impaired: ${reason}`,
});

/** What a host says that stepped down because it was asked to. */
const orderlyEnd = "stepped down";

const isOrdered = (kind: FailoverKind): boolean => kind === "switchover" || kind === "forced" || kind === "first";
