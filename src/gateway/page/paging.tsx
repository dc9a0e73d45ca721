/** @jsxImportSource hono/jsx */
/**
 * Long lists in pages, each with an address of its own (`?page=2`), so that a view weighs the same however much there
 * is to show.
 */

export interface PageOf<T> {
  readonly items: readonly T[];
  readonly page: number;
  readonly isLast: boolean;
}

/** Returns one page of a list; a page beyond its end is the last one, so that a link that has aged still shows some. */
export function pageAt<T>(all: readonly T[], page: number, size: number): PageOf<T> {
  const last = Math.max(1, Math.ceil(all.length / size));
  const shown = Math.min(page, last);
  return { items: all.slice((shown - 1) * size, shown * size), page: shown, isLast: shown === last };
}

interface PagesProps {
  readonly path: string;
  readonly page: number;
  readonly isLast: boolean;
  /** What else the address has. */
  readonly query?: Readonly<Record<string, string>>;
  /** The names of the links; default: of lists that begin with the newest. */
  readonly names?: readonly [previous: string, next: string];
}

/** Links to the neighbours of a page. */
export function Pages({ path, page, isLast, query = {}, names: [previous, next] = ["Newer", "Older"] }: PagesProps) {
  if (page === 1 && isLast) return null;
  const to = (target: number): string =>
    `${path}?${new URLSearchParams({ ...query, page: String(target) }).toString()}`;
  return (
    <nav class="pages" aria-label="Pages">
      {page === 1 ? null : (
        <a class="button" href={to(page - 1)} rel="prev">
          {previous}
        </a>
      )}
      <span>Page {page}</span>
      {isLast ? null : (
        <a class="button" href={to(page + 1)} rel="next">
          {next}
        </a>
      )}
    </nav>
  );
}

/** For lists in no order of time. */
export const inOrder = ["Previous", "Next"] as const;
