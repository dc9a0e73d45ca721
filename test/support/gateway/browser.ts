/** Chromium of the machine, driven by playwright-core, which brings none of its own. */
import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

const programs = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

export type FoundBrowser =
  | { readonly kind: "found"; readonly program: string }
  | { readonly kind: "missing"; readonly why: string };

export function findBrowser(): FoundBrowser {
  const program = programs.find((path) => existsSync(path));
  return program === undefined
    ? { kind: "missing", why: "no Chromium here: apt-get install chromium" }
    : { kind: "found", program };
}

/** Without its sandbox, which root cannot use: it visits nothing but the gateway of the test. */
export const startBrowser = (program: string): Promise<Browser> =>
  chromium.launch({ executablePath: program, args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"] });
