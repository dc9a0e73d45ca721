/**
 * A brake for failovers that do not help: the cause that ended one primary also ends the next one, and every takeover
 * costs the requests in flight, an epoch, and a folder of set-aside data.
 *
 * Losses of one service form a chain as long as each ends a primary that was in place for less than a minute, for the
 * same cause. The first two are answered at once. From the third on, the next takeover waits for a pause after the
 * previous one: 2 s, doubling to 60 s. A pause counts from the last *takeover*, so a primary that serves for longer
 * than the pause costs no wait at all. All gateways see the same epochs, whichever of them acted, so each keeps the
 * chain itself, and the next gateway that acts brakes too.
 *
 * The cause is what the gateway saw and the host reported, without figures: "application ended 4 times" and "5 times"
 * are the same.
 *
 * A process that is gone does not tell why, and three machines may well be switched off within a minute. A kill or a
 * hang is therefore part of a chain only if it ended the primary within `suddenMsMax` of its takeover, and such a pause
 * is at most `suddenPauseMsMax`: a killed host must first be restarted, which takes time as well.
 *
 * An orderly end (a switchover, a stop of the host) is no cause, and an operator's order waits for nothing.
 */
import { handoverEndsAt } from "./primary-status.ts";
import type { HostReport, ServiceState } from "./state.ts";
import type { Brake, Cause, FailoverKind, Loss } from "./loss.ts";

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

/** Returns the wait for the loss of a primary now, after that tenure; undefined: it is the beginning of a chain. */
export function brakeOf(losses: readonly Loss[], cause: Cause, tenureMs: number, now: number): Brake | undefined {
  const chain: Loss[] = [];
  let next: Pick<Loss, "cause" | "tenureMs"> = { cause, tenureMs };
  for (const loss of losses.toReversed()) {
    if (!isShort(next) || fingerprint(loss.cause) !== fingerprint(cause)) break;
    chain.push(loss);
    next = loss;
  }
  const [last] = chain;
  const first = chain.at(-1);
  if (last === undefined || first === undefined) return undefined;
  const nth = chain.length + 1;
  const longestMs = isSudden(cause) ? suddenPauseMsMax : pauseMsMax;
  const pauseMs = nth <= freeLosses ? 0 : Math.min(longestMs, pauseMsMin * 2 ** (nth - freeLosses - 1));
  return { until: last.at + pauseMs, nth, spanMs: now - first.at, cause };
}

/**
 * Returns the present chain of the service: the one that waits, or the one whose last loss was answered within the last
 * minute. undefined: none.
 */
export function currentRow(
  { phase, losses, primary }: ServiceState,
  now: number,
): (Brake & { readonly epoch: number }) | undefined {
  if (phase.kind === "down" && phase.because.kind === "braked" && phase.failover.brake !== undefined)
    return { ...phase.failover.brake, epoch: phase.failover.epochFrom };
  const last = losses.at(-1);
  if (last === undefined || now - last.at > windowMs) return undefined;
  const row = brakeOf(losses.slice(0, -1), last.cause, last.tenureMs, last.at);
  return row === undefined || row.nth <= freeLosses
    ? undefined
    : { ...row, until: last.at, epoch: (primary?.epoch ?? 1) - 1 };
}

/** Strips figures: counts, ports, process ids and times differ from one primary to the next. */
const fingerprint = ({ kind, text }: Cause): string => `${kind}\n${text.replaceAll(/\d+/g, "#")}`;

/** "epoch 7 is the third in 40 s: its application ended". */
export function brakeInWords({ nth, spanMs, cause }: Brake, epoch: number): string {
  return `epoch ${epoch} is the ${ordinal(nth)} in ${Math.max(1, Math.round(spanMs / 1_000))} s: ${cause.text}`;
}

const ordinals = ["", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"];
const ordinal = (nth: number): string => ordinals[nth] ?? `${nth}th`;

/** Returns what ended the present primary, as far as this gateway can see; undefined: nothing that could recur. */
export function causeOfLoss(state: ServiceState, now: number): Cause | undefined {
  const { phase, primary, hosts } = state;
  if ("failover" in phase && isOrdered(phase.failover.kind)) return undefined;
  if ("failover" in phase && phase.failover.cause !== undefined) return phase.failover.cause;
  const view = primary === undefined ? undefined : hosts.get(primary.host);
  if (primary === undefined || view === undefined) return undefined;
  const { health, report } = view;
  if (health.kind === "down") {
    if (health.cause === "vault") return { kind: "hang", text: "it could not reach the vault, and others could" };
    const isGone = health.cause === "refused" || health.cause === "reset";
    return isGone
      ? { kind: "kill", text: "its host process was gone" }
      : { kind: "hang", text: "its host process did not answer" };
  }
  if (report === undefined) return undefined;
  if (primary.instance !== undefined && report.instance !== primary.instance)
    return { kind: "kill", text: "its host process was gone" };
  if (now < handoverEndsAt(view) || report.reason === orderlyEnd) {
    const [impairment] = report.impairments;
    return impairment === undefined ? undefined : impairedBy(impairment);
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

/** The reason in the status of a host that stepped down because it was ordered to. */
const orderlyEnd = "stepped down";

const isOrdered = (kind: FailoverKind): boolean =>
  kind === "switchover" || kind === "rewind" || kind === "forced" || kind === "first";
