/**
 * Head comments that say how one would break their file: each names what attacks it, a test by its file and words of
 * its title, or a mutant of the simulator.
 *
 * ```
 * Attacked in test/core/replay.test.ts: "a request of which nothing was sent", "the second title".
 * Attacked by the mutant replay-bound.
 * ```
 *
 * What stead does not prevent has no such test; it stands in `accepted`, with the reason.
 */
import type { SourceFile } from "./layers.ts";

const attack = /\b(?:how )?one would (?:try to )?(?:break|lose|get around|fill|forge|use|stop)\b/i;
const inTest = /\bAttacked in (test\/[\w./-]+\.test\.ts): ((?:"[^"]+"(?:, )?)+)/g;
const byMutant = /\bAttacked by the mutant ([a-zA-Z0-9-]+)/g;

/** What only an operator or the application can prevent. */
export const accepted: Readonly<Record<string, string>> = {
  "src/runtime/tcp/refusal.ts": "no thread of stead takes descriptors between two system calls of the main thread",
  "src/gateway/state/token-book.ts": "a gateway without its peers cannot know what they were told; tokens expire",
  "src/http/upstream/pinned-connections.ts": "a proxy sees no login that is in no head",
  "src/host/application/leftovers.ts":
    "the kernel does not tell whose such a process is; a cgroup, or a stop command, does",
};

export interface Proofs {
  /** Path and text of all tests. */
  readonly tests: readonly SourceFile[];
  /** Names of the rules that the simulator breaks. */
  readonly mutants: ReadonlySet<string>;
}

/** One line for each head comment with an attack that nothing carries out, and for each name that is not there. */
export function attacksWithoutProof(
  files: readonly SourceFile[],
  { tests, mutants }: Proofs,
  known: Readonly<Record<string, string>> = accepted,
): string[] {
  const texts = new Map(tests.map(({ path, text }) => [path, text.replace(/\s+/g, " ")]));
  const violations = files.flatMap(({ path, text }) => {
    const head = headOf(text);
    if (!attack.test(head)) return path in known ? [`${path}: describes no attack, and is a known exception`] : [];
    if (path in known) return [];
    const named = [...head.matchAll(inTest)];
    const broken = [...head.matchAll(byMutant)].map(([, name]) => name as string);
    if (named.length + broken.length === 0)
      return [
        `${path}: says how one would break it, and names neither a test that does nor a mutant (scripts/lib/attacks.ts)`,
      ];
    return [
      ...named.flatMap(([, test, titles]) =>
        [...(titles as string).matchAll(/"([^"]+)"/g)]
          .filter(([, title]) => texts.get(test as string)?.includes(title as string) !== true)
          .map(([, title]) => `${path}: there is no "${title}" in ${test}`),
      ),
      ...broken.filter((name) => !mutants.has(name)).map((name) => `${path}: the simulator has no mutant ${name}`),
    ];
  });
  const paths = new Set(files.map(({ path }) => path));
  return [
    ...violations,
    ...Object.keys(known)
      .filter((path) => !paths.has(path))
      .map((path) => `${path}: is not there`),
  ];
}

/** The first comment, as one line. */
function headOf(text: string): string {
  const comment = /^\/\*\*([\s\S]*?)\*\//.exec(text)?.[1] ?? "";
  return comment.replace(/\n \*/g, " ").replace(/\s+/g, " ");
}

/** `rules`: text of src/core/rules.ts; `simulator`: texts of its mutants. */
export function mutantsOf(rules: string, simulator: readonly string[]): Set<string> {
  const broken = new Set(
    simulator.flatMap((text) => [...text.matchAll(/\brule: "([\w-]+)"/g)].map(([, name]) => name)),
  );
  return new Set(
    [...rules.matchAll(/^ {2}\| "([\w-]+)"/gm)].flatMap(([, name]) => (broken.has(name) ? [name as string] : [])),
  );
}
