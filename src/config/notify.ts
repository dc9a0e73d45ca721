/**
 * `[[notify]]`: who is told what happens. Keys that belong together are checked here, and files with secrets are read:
 * an address of Slack or Teams is one, because who knows it can post there.
 */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { Problems } from "./problems.ts";
import type { FileContent } from "./schema.ts";
import { warnWhenReadable, warnWhenWritten } from "./secret.ts";
import type { NotifyTarget } from "./types.ts";
import type { FileSource } from "./variables.ts";

type Entry = FileContent["notify"][number];

/**
 * Returns the targets without those that `problems` has something about.
 */
export function resolveNotify(
  { file, filled }: FileSource,
  entries: readonly Entry[],
  problems: Problems,
  warnings: Problems,
): NotifyTarget[] {
  const names = new Set<string>();
  return entries.flatMap((entry, index) => {
    const path = ["notify", index] as const;
    if (names.has(entry.name))
      problems.add([...path, "name"], {
        found: `"${entry.name}", which an earlier [[notify]] is called already`,
        accepted: "a different name for each",
        advice: "rename one of them",
      });
    names.add(entry.name);
    const read = (key: SecretName): string | undefined => {
      const own = entry[key];
      if (own === undefined) return readLine(file, entry[`${key}_file`], [...path, `${key}_file`], problems, warnings);
      if (key !== "url") warnWhenWritten({ file, filled }, [...path, key], warnings);
      return own;
    };
    const to = entry.to === "command" ? commandOf(file, entry, index, problems) : httpOf(entry, index, read, problems);
    if (to === undefined) return [];
    const { name, timeout, kinds, severity, services } = entry;
    return [{ name, timeoutMs: timeout, kinds, severity, services, to }];
  });
}

const urls: Partial<Record<Entry["to"], string>> = { pagerduty: "https://events.pagerduty.com/v2/enqueue" };
/** Keys that mean something for a kind of target, besides those of all. */
const keysOf: Readonly<Record<Entry["to"], readonly (keyof Entry)[]>> = {
  webhook: ["url", "url_file", "secret", "secret_file", "token", "token_file"],
  slack: ["url", "url_file"],
  teams: ["url", "url_file"],
  pagerduty: ["url", "token", "token_file"],
  ntfy: ["url", "url_file", "token", "token_file", "topic"],
  command: ["command"],
};
const particular = ["url", "url_file", "secret", "secret_file", "token", "token_file", "topic", "command"] as const;
const secretNames = ["url", "secret", "token"] as const;
/** Each can be in a file, or come from a variable. */
type SecretName = (typeof secretNames)[number];

/** Returns false after adding to `problems`. */
function fits(entry: Entry, index: number, problems: Problems): boolean {
  const stray = particular.find((key) => entry[key] !== undefined && !keysOf[entry.to].includes(key));
  if (stray === undefined) return true;
  problems.add(["notify", index, stray], {
    found: `${stray} with to = "${entry.to}"`,
    accepted: keysOf[entry.to].join(", "),
    advice: "remove it, or choose another `to`",
  });
  return false;
}

function commandOf(file: string, entry: Entry, index: number, problems: Problems): NotifyTarget["to"] | undefined {
  if (!fits(entry, index, problems)) return undefined;
  const [program, ...args] = entry.command ?? [];
  if (program === undefined) {
    problems.add(["notify", index], {
      found: 'to = "command" without a command',
      accepted: "`command`, an array with the program and its arguments",
      advice: 'add it, for example command = ["/etc/stead/tell"]',
    });
    return undefined;
  }
  return { kind: "command", command: [program, ...args], folder: dirname(file) };
}

function httpOf(
  entry: Entry,
  index: number,
  read: (key: SecretName) => string | undefined,
  problems: Problems,
): NotifyTarget["to"] | undefined {
  if (!fits(entry, index, problems) || entry.to === "command") return undefined;
  const path = ["notify", index];
  const twice = secretNames.find((key) => entry[key] !== undefined && entry[`${key}_file`] !== undefined);
  if (twice !== undefined) {
    problems.add([...path, `${twice}_file`], {
      found: `${twice} and ${twice}_file`,
      accepted: "one of them",
      advice: `remove the other; a ${twice === "url" ? "URL that is itself a secret" : twice} belongs into a file, or into a variable`,
    });
    return undefined;
  }
  const url = read("url") ?? (entry.url_file === undefined ? urls[entry.to] : undefined);
  const token = read("token");
  const missing =
    url === undefined && entry.url_file === undefined
      ? "url"
      : entry.to === "pagerduty" && entry.token === undefined && entry.token_file === undefined
        ? "token_file"
        : entry.to === "ntfy" && entry.topic === undefined
          ? "topic"
          : undefined;
  if (missing !== undefined) {
    problems.add(path, {
      found: `to = "${entry.to}" without ${missing}`,
      accepted: `\`${missing}\``,
      advice: "add it; the table of keys in the manual has an example for each kind",
    });
    return undefined;
  }
  if (url === undefined) return undefined;
  const isPagerDuty = entry.to === "pagerduty";
  return {
    kind: "http",
    format: entry.to,
    url,
    secret: read("secret"),
    bearer: isPagerDuty ? undefined : token,
    routingKey: isPagerDuty ? token : undefined,
    topic: entry.topic,
  };
}

/** Returns the one word of a file's first line, or undefined after adding to `problems` (or if none is named). */
export function readLine(
  file: string,
  name: string | undefined,
  key: readonly (string | number)[],
  problems: Problems,
  warnings: Problems,
): string | undefined {
  if (name === undefined) return undefined;
  const path = resolve(dirname(file), name);
  let line: string;
  try {
    line = readFileSync(path, "utf8").split(/\r?\n/)[0] ?? "";
  } catch (error) {
    problems.add(key, {
      found: `${JSON.stringify(name)}, which cannot be read (${(error as NodeJS.ErrnoException).code ?? String(error)})`,
      accepted: "a readable file with one line",
      advice: `create ${path}, or correct the path (it is relative to the folder of this file)`,
    });
    return undefined;
  }
  const isUrl = key.at(-1) === "url_file";
  if (line === "" || /\s/.test(line) || (isUrl && !URL.canParse(line))) {
    problems.add(key, {
      found: `${JSON.stringify(name)}, whose first line is ${line === "" ? "empty" : isUrl ? "no URL" : "several words"}`,
      accepted: isUrl ? "a URL as its first line" : "one word as its first line",
      advice: "correct the file",
    });
    return undefined;
  }
  warnWhenReadable(path, key, warnings);
  return line;
}
