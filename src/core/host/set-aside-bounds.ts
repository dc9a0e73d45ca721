/**
 * Which folders of set-aside data are removed: those beyond the bound on their number or bytes, oldest first; and of
 * equal ones all but the newest.
 *
 * A cause that every new primary meets leaves a folder at each try, mostly with the same content: without a bound they
 * would fill the disk that the databases need. If a restore still lacks room, the oldest are removed before their
 * bounds are reached. The newest always stays, whatever its size: the operator was told about it.
 */
export interface SetAside {
  readonly name: string;
  readonly bytes: number;
  /** Equal for equal databases; undefined: unknown, and equal to none. */
  readonly content: string | undefined;
}

export interface SetAsideBounds {
  /** At least 1. */
  readonly keep: number;
  readonly bytesMax: number;
}

export interface Removal {
  readonly name: string;
  readonly why: string;
}

/**
 * Returns the folders to remove if a restore lacks this many bytes: the oldest, as many as needed, if that is enough;
 * otherwise none, since nothing would be gained. `all`: oldest first.
 */
export function setAsidesForRoom(all: readonly Pick<SetAside, "name" | "bytes">[], missingBytes: number): string[] {
  const names: string[] = [];
  let bytes = 0;
  for (const { name, bytes: own } of all.slice(0, -1)) {
    if (bytes >= missingBytes) break;
    names.push(name);
    bytes += own;
  }
  return bytes >= missingBytes ? names : [];
}

/** `all`: oldest first. */
export function removableSetAsides(all: readonly SetAside[], { keep, bytesMax }: SetAsideBounds): Removal[] {
  const removals: Removal[] = [];
  const contents = new Map<string, string>();
  let kept = 0;
  let bytes = 0;
  let beyond: string | undefined;
  for (const { name, bytes: own, content } of all.toReversed()) {
    const equal = content === undefined ? undefined : contents.get(content);
    if (equal === undefined && kept > 0) {
      if (kept >= keep) beyond ??= `there are ${keep} newer ones (host.set_aside_keep)`;
      else if (bytes + own > bytesMax)
        beyond ??= `with the newer ones it is more than ${bytesMax} bytes (host.set_aside_bytes)`;
    }
    const why = equal === undefined ? beyond : `it has the same content as ${equal}`;
    if (why !== undefined) {
      removals.push({ name, why });
      continue;
    }
    kept += 1;
    bytes += own;
    if (content !== undefined) contents.set(content, name);
  }
  return removals.reverse();
}
