/** @jsxImportSource hono/jsx */
/** What the vault of a service can be restored to: its checkpoints on a time line, and one by one. */
import type { CheckpointPoint, RestorePointsAnswer } from "../../control/restore-points.ts";
import type { Refused } from "../../control/refused.ts";
import { bytesInWords } from "../../runtime/progress-report.ts";
import { type ApiCalls, CallRefused } from "./api-calls.ts";
import { inUnits, instant, orDash } from "./words.ts";

export type RestorePointsFound =
  | { readonly kind: "told"; readonly points: RestorePointsAnswer }
  /** No host could tell; the rest of the view stands. */
  | { readonly kind: "refused"; readonly refusal: Refused };

export async function restorePointsOf(api: ApiCalls, service: string): Promise<RestorePointsFound> {
  try {
    return { kind: "told", points: await api.restorePoints(service) };
  } catch (error) {
    if (!(error instanceof CallRefused) || error.status === 401) throw error;
    return { kind: "refused", refusal: error.refusal };
  }
}

interface RestorePointsProps {
  readonly service: string;
  readonly found: RestorePointsFound;
  readonly nowMs: number;
}

export function RestorePointList({ service, found, nowMs }: RestorePointsProps) {
  if (found.kind === "refused")
    return (
      <p>
        Restore points are not known: {found.refusal.error}. {found.refusal.advice}.
      </p>
    );
  const { points } = found;
  return (
    <>
      <h3>Restore points</h3>
      <Reach points={points} nowMs={nowMs} />
      <TimeLine service={service} points={points} />
      <Older points={points} nowMs={nowMs} />
      {points.damaged.length === 0 ? null : (
        <p class="reason">
          The manifest of {points.damaged.length === 1 ? "a checkpoint" : "checkpoints"} is damaged (position{" "}
          {points.damaged.join(", ")}): a restore begins at an older one. <code>stead vault verify</code> says more.
        </p>
      )}
      <Checkpoints service={service} points={points} nowMs={nowMs} />
    </>
  );
}

interface PointsProps {
  readonly points: RestorePointsAnswer;
  readonly nowMs: number;
}

function Reach({ points: { earliest, latest, keep }, nowMs }: PointsProps) {
  if (earliest === null) return <p>The vault has no checkpoint: nothing can be restored from it yet.</p>;
  return (
    <p>
      <code>stead vault restore --time</code> reaches every moment from <strong>{instant(earliest.wallTimeMs)}</strong>{" "}
      (position {earliest.position}, {ago(earliest.wallTimeMs, nowMs)})
      {latest === null ? (
        " on"
      ) : (
        <>
          {" "}
          to <strong>{instant(latest.wallTimeMs)}</strong> (position {latest.position}, {ago(latest.wallTimeMs, nowMs)})
        </>
      )}
      . Kept are {keep.checkpoints} checkpoints and every moment of the last {inUnits(keep.windowMs)} at least.
    </p>
  );
}

/** Checkpoints beyond the window, which are single moments. */
function Older({ points: { older }, nowMs }: PointsProps) {
  const [newest, oldest] = [older[0], older.at(-1)];
  if (newest === undefined || oldest === undefined) return null;
  const to = older.length === 1 ? "" : ` to ${instant(newest.wallTimeMs)}`;
  return (
    <p>
      Before that, {counted(older.length)} can be restored by position or exact time, from{" "}
      <strong>{instant(oldest.wallTimeMs)}</strong> (position {oldest.position}, {ago(oldest.wallTimeMs, nowMs)}){to}:{" "}
      <code>stead vault ls</code> has each.
    </p>
  );
}

const ago = (wallTimeMs: number, nowMs: number): string => `${inUnits(Math.max(0, nowMs - wallTimeMs))} ago`;

/** From the first moment that can be restored to the last. */
function TimeLine({ service, points }: { readonly service: string; readonly points: RestorePointsAnswer }) {
  const { earliest, latest, checkpoints, total } = points;
  const [newest] = checkpoints;
  if (earliest === null || newest === undefined) return null;
  const fromMs = earliest.wallTimeMs;
  const toMs = Math.max(fromMs + 1, newest.wallTimeMs, latest?.wallTimeMs ?? 0);
  const at = (wallTimeMs: number): string => `${((100 * (wallTimeMs - fromMs)) / (toMs - fromMs)).toFixed(2)}%`;
  const listed = total > checkpoints.length ? `, of which the newest ${checkpoints.length} are marked` : "";
  return (
    <svg
      class="moments scale"
      width="100%"
      height="36"
      role="img"
      aria-label={`Time line of ${service} from ${instant(fromMs)} to ${instant(toMs)}: ${counted(total)}${listed}, the newest at ${instant(newest.wallTimeMs)}`}
    >
      <rect class="reach" x="0" y="8" width="100%" height="6" rx="3" />
      {checkpoints.map(({ wallTimeMs }) => (
        <circle cx={at(wallTimeMs)} cy="11" r="5" />
      ))}
      <text x="0" y="32" text-anchor="start">
        {instant(fromMs)}
      </text>
      <text x="100%" y="32" text-anchor="end">
        {latest === null ? instant(toMs) : "end of the log"}
      </text>
    </svg>
  );
}

const counted = (count: number): string => `${count} checkpoint${count === 1 ? "" : "s"}`;

function Checkpoints({ service, points, nowMs }: PointsProps & { readonly service: string }) {
  const { checkpoints, total, host, latest } = points;
  if (checkpoints.length === 0) return null;
  const caption = `Checkpoints of ${service}, newest first`;
  return (
    <>
      <div class="scroll" role="region" aria-label={caption} tabindex={0}>
        <table class="stack">
          <caption class="hidden">{caption}</caption>
          <thead>
            <tr>
              <th scope="col">Made</th>
              <th scope="col">Age</th>
              <th scope="col" class="number">
                Position
              </th>
              <th scope="col" class="number">
                Records to the next
              </th>
              <th scope="col" class="number">
                Databases
              </th>
              <th scope="col" class="number">
                Size
              </th>
            </tr>
          </thead>
          <tbody>
            {checkpoints.map((point, index) => (
              <Checkpoint point={point} nowMs={nowMs} next={(checkpoints[index - 1] ?? latest)?.position} />
            ))}
          </tbody>
        </table>
      </div>
      <p class="quiet">
        {total > checkpoints.length ? `And ${total - checkpoints.length} older ones. ` : ""}Size is that of the
        databases, which a restore needs on the disk. As host {host} reads the vault.
      </p>
    </>
  );
}

interface CheckpointProps {
  readonly point: CheckpointPoint;
  readonly nowMs: number;
  /** The position of the next checkpoint, or of the end of the log. */
  readonly next: number | undefined;
}

function Checkpoint({ point: { wallTimeMs, position, databases, bytes }, nowMs, next }: CheckpointProps) {
  return (
    <tr>
      <th scope="row">{instant(wallTimeMs)}</th>
      <td data-name="Age">{ago(wallTimeMs, nowMs)}</td>
      <td data-name="Position" class="number">
        {position}
      </td>
      <td data-name="Records to the next" class="number">
        {orDash(next === undefined ? undefined : Math.max(0, next - position))}
      </td>
      <td data-name="Databases" class="number">
        {databases}
      </td>
      <td data-name="Size" class="number">
        {bytesInWords(bytes)}
      </td>
    </tr>
  );
}
