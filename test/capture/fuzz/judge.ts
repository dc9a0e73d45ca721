/** Compares what was acknowledged with what the next primary has. Pure. */
import type { FileKey, Ledger } from "./ledger.ts";
import type { Look } from "./processes.ts";

export type ViolationKind =
  /** Acknowledged, the application still sees it, and the next primary does not have it. */
  | "lost"
  /** Acknowledged, and the application itself does not see it any more. */
  | "lost_here"
  /** Acknowledged in a file that had not the name of a database any more. */
  | "acknowledged_into_nothing"
  /** A deletion of a row, or of a database, that was acknowledged, and that the next primary does not know. */
  | "undone"
  | "malformed"
  /** The vault has what no host can apply. */
  | "not_applicable"
  /** The next primary cannot begin with what it restored. */
  | "cannot_begin"
  /** `stead vault verify` and the hosts are not of one opinion. */
  | "disagree";

export interface Violation {
  readonly kind: ViolationKind;
  readonly text: string;
}

export interface Evidence {
  /** What the application's open connections saw at last, by file. */
  readonly views: ReadonlyMap<FileKey, ReadonlySet<number>>;
  /** What the files say that it left, by name. */
  readonly left: ReadonlyMap<string, Look>;
  /** What the next primary has, by name. */
  readonly restored: ReadonlyMap<string, Look>;
}

export function judge(ledger: Ledger, evidence: Evidence): Violation[] {
  return [...judgeTokens(ledger, evidence), ...judgeNames(ledger, evidence)];
}

function* judgeTokens(ledger: Ledger, { views, left, restored }: Evidence): Generator<Violation> {
  for (const { key, tokens, forgotten, isRisky, isMixed } of ledger.files) {
    const places = ledger.placesOf(key);
    const restoredHere = new Set(places?.flatMap((name) => restored.get(name)?.ids ?? []));
    const seen = new Set([
      ...((isMixed ? undefined : views.get(key)) ?? []),
      ...(places ?? []).flatMap((name) => (isMixed && isDamaged(left.get(name)) ? [] : (left.get(name)?.ids ?? []))),
    ]);
    for (const [token, { by, nameless }] of tokens) {
      const what = `token ${token} (${by}) in ${places?.join(" or ") ?? "a file without a name of the service"}`;
      if (nameless) yield { kind: "acknowledged_into_nothing", text: what };
      if (places === undefined || restoredHere.has(token)) continue;
      if (seen.has(token))
        yield { kind: "lost", text: `${what}; left: ${shown(places, left)}; restored: ${shown(places, restored)}` };
      else if (!isRisky)
        yield {
          kind: "lost_here",
          text: `${what}; neither the application nor the next primary has it; left: ${shown(places, left)}; restored: ${shown(places, restored)}`,
        };
    }
    if (places === undefined || isRisky) continue;
    const onlyTenant = places.every((name) => ledger.tenantsOf(name).length === 1);
    for (const token of forgotten)
      if (onlyTenant && restoredHere.has(token))
        yield { kind: "undone", text: `the deletion of token ${token} in ${places.join(" or ")}` };
  }
}

function* judgeNames(ledger: Ledger, { left, restored }: Evidence): Generator<Violation> {
  for (const [name, { check }] of restored) {
    const tenants = ledger.tenantsOf(name);
    if (tenants.length === 0) yield { kind: "undone", text: `the deletion of ${name}` };
    const here = left.get(name)?.check ?? "ok";
    if (check !== "ok" && here === "ok" && !tenants.some((key) => ledger.file(key).isRisky))
      yield { kind: "malformed", text: `${name}: ${check}` };
  }
}

const isDamaged = (look: Look | undefined): boolean => look !== undefined && look.check !== "ok";

const shown = (names: readonly string[], looks: ReadonlyMap<string, Look>): string =>
  names
    .map((name) => `${name} (${looks.get(name)?.check ?? "none"}) ${looks.get(name)?.ids.join(" ") ?? ""}`)
    .join(", ");
