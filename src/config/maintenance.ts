/** `service.maintenance`: the page is read with the configuration, so that none is missing when it is needed. */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { Problems } from "./problems.ts";

/** In every worker's memory, and in each answer. */
const pageBytesMax = 256 * 1024;
export const builtInPage = "built-in";

interface Named {
  readonly maintenance: { readonly page?: string | undefined };
}

/** Returns the contents of the named files by path in the file; adds to `problems` what cannot be a page. */
export function readMaintenancePages(
  file: string,
  services: readonly Named[],
  problems: Problems,
): ReadonlyMap<string, string> {
  const pages = new Map<string, string>();
  for (const [index, { maintenance }] of services.entries()) {
    const { page } = maintenance;
    if (page === undefined || page === builtInPage) continue;
    const path = resolve(dirname(file), page);
    const read = readPage(path);
    if (read.kind === "ok") pages.set(page, read.html);
    else
      problems.add(["service", index, "maintenance", "page"], {
        found: `${JSON.stringify(page)}, ${read.why}`,
        accepted: `a file of HTML in UTF-8 of at most ${pageBytesMax / 1024} KiB, or "${builtInPage}"`,
        advice: `create ${path}, or correct the path (it is relative to the folder of this file)`,
      });
  }
  return pages;
}

type PageRead = { readonly kind: "ok"; readonly html: string } | { readonly kind: "no"; readonly why: string };

function readPage(path: string): PageRead {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    return { kind: "no", why: `which cannot be read (${(error as NodeJS.ErrnoException).code ?? String(error)})` };
  }
  if (bytes.length === 0) return { kind: "no", why: "which is empty" };
  if (bytes.length > pageBytesMax) return { kind: "no", why: `which has ${bytes.length} bytes` };
  try {
    return { kind: "ok", html: new TextDecoder("utf-8", { fatal: true }).decode(bytes) };
  } catch {
    return { kind: "no", why: "which is not UTF-8" };
  }
}
