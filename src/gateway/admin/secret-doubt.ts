/**
 * Whether this gateway has the cluster's secret, by what the processes that answer say of it.
 *
 * If all refuse it, and another gateway among them, it is this one that is wrong: it learns nothing of hosts any more,
 * and others do. If only hosts refuse it, the same may be true of every gateway, and clients are still served by the
 * primary that was known last: then it stays healthy, with the reason.
 */

/** What a process said of this gateway's secret last; undefined: it did not answer. */
export interface SecretView {
  /** `gateway g2`, or `host a of notes`. */
  readonly by: string;
  readonly view: "taken" | "refused" | undefined;
}

export type SecretDoubt =
  | { readonly kind: "none" }
  /** Others have another one. */
  | { readonly kind: "some"; readonly text: string }
  /** `isAlone`: another gateway is among those who refuse. */
  | { readonly kind: "all"; readonly text: string; readonly isAlone: boolean };

export function secretDoubt(gateways: readonly SecretView[], hosts: readonly SecretView[]): SecretDoubt {
  const views = [...gateways, ...hosts];
  const refusing = views.filter(({ view }) => view === "refused").map(({ by }) => by);
  if (refusing.length === 0) return { kind: "none" };
  const who = refusing.join(", ");
  if (views.some(({ view }) => view === "taken"))
    return {
      kind: "some",
      text: `refused the secret of this gateway: ${who}; others take it, so theirs is another one`,
    };
  return {
    kind: "all",
    isAlone: gateways.some(({ view }) => view === "refused"),
    text: `this gateway's secret is refused by all that answer (${who}): it is not the cluster's`,
  };
}
