/** The lines of `stead status` about the last drill of a service and the next one. */
import type { DrillEntry, DrillSummary, PlannedDrillEntry } from "../../control/drill-api.ts";
import { roughDuration } from "./rough-duration.ts";
import { paragraph, type Screen } from "./wrap-text.ts";

export function formatDrillSummary({ last, next }: DrillSummary, wallTimeMs: number, screen: Screen): string {
  return [
    ...(last === null ? [] : [paragraph("last drill: ", lastInWords(last, wallTimeMs), screen)]),
    ...(next === null ? [] : [paragraph("next drill: ", nextInWords(next, wallTimeMs), screen)]),
  ].join("");
}

function lastInWords(drill: DrillEntry, wallTimeMs: number): string {
  const { kind, from, to, outcome, detail, rtoMs, objectiveMs, startedAtMs } = drill;
  const ago = `${roughDuration(wallTimeMs - startedAtMs)} ago, ${kind}`;
  // One that was not safe went nowhere.
  if (outcome === "refused") return `${ago}, refused: ${detail}`;
  const way = to === null ? (from ?? "none") : `${from ?? "none"} -> ${to}`;
  const waited = rtoMs === null ? "how long clients waited is unknown" : `clients waited ${wholeMs(rtoMs)}`;
  const objective = objectiveMs === null ? "no objective" : `objective ${wholeMs(objectiveMs)}`;
  const why = outcome === "failed" ? `: ${detail}` : "";
  return `${ago} ${way}, ${outcome}${why}; ${waited}, ${objective}`;
}

function nextInWords({ kind, nextAtMs, at, orderedBy }: PlannedDrillEntry, wallTimeMs: number): string {
  const by = orderedBy === undefined ? `service.drill, ${at} UTC` : `ordered by ${orderedBy}`;
  return `in ${roughDuration(nextAtMs - wallTimeMs)}, ${kind}, at ${new Date(nextAtMs).toISOString()} (${by})`;
}

const wholeMs = (ms: number): string => `${Math.round(ms)} ms`;
