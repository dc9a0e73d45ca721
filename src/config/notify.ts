/**
 * `[[notify]]`: who is told what happens. Keys that belong together are checked here, and files with secrets are read:
 * an address of Slack or Teams is one, because who knows it can post there.
 */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { Problems } from "./problems.ts";
import type { FileContent } from "./schema.ts";
import { smtpOf } from "./smtp.ts";
import { warnWhenReadable, warnWhenWritten } from "./secret.ts";
import type { NotifyTarget } from "./types.ts";
import type { FileSource } from "./variables.ts";

type NotifyEntry = FileContent["notify"][number];

/**
 * Returns the targets without those that `problems` has something about.
 */
export function resolveNotify(
  { file, filled }: FileSource,
  entries: readonly NotifyEntry[],
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
    const to = fits(entry, index, problems) ? receiverOf(file, entry, index, read, problems) : undefined;
    if (to === undefined) return [];
    const { name, timeout, kinds, severity, services } = entry;
    return [{ name, timeoutMs: timeout, kinds, severity, services, to }];
  });
}

const urls: Partial<Record<NotifyEntry["to"], string>> = { pagerduty: "https://events.pagerduty.com/v2/enqueue" };
/** Keys that mean something for a kind of target, besides those of all. */
const keysOf: Readonly<Record<NotifyEntry["to"], readonly (keyof NotifyEntry)[]>> = {
  webhook: ["url", "url_file", "secret", "secret_file", "token", "token_file"],
  slack: ["url", "url_file"],
  teams: ["url", "url_file"],
  pagerduty: ["url", "token", "token_file"],
  ntfy: ["url", "url_file", "token", "token_file", "topic"],
  command: ["command"],
  smtp: ["url", "url_file", "from", "recipients", "user", "password", "password_file", "starttls", "ca"],
};
const particular = [...new Set(Object.values(keysOf).flat())];
const secretNames = ["url", "secret", "token", "password"] as const;
/** Each can be in a file, or come from a variable. */
type SecretName = (typeof secretNames)[number];

function receiverOf(
  file: string,
  entry: NotifyEntry,
  index: number,
  read: (key: SecretName) => string | undefined,
  problems: Problems,
): NotifyTarget["to"] | undefined {
  switch (entry.to) {
    case "command":
      return commandOf(file, entry, index, problems);
    case "smtp":
      return smtpOf({ file, entry, path: ["notify", index], read }, problems);
    default:
      return httpOf(entry, index, read, problems);
  }
}

/** Returns false after adding to `problems`. */
function fits(entry: NotifyEntry, index: number, problems: Problems): boolean {
  const path = ["notify", index];
  const stray = particular.find((key) => entry[key] !== undefined && !keysOf[entry.to].includes(key));
  const twice = secretNames.find((key) => entry[key] !== undefined && entry[`${key}_file`] !== undefined);
  if (stray !== undefined)
    problems.add([...path, stray], {
      found: `${stray} with to = "${entry.to}"`,
      accepted: keysOf[entry.to].join(", "),
      advice: "remove it, or choose another `to`",
    });
  else if (twice !== undefined)
    problems.add([...path, `${twice}_file`], {
      found: `${twice} and ${twice}_file`,
      accepted: "one of them",
      advice: `remove the other; a ${twice === "url" ? "URL that is itself a secret" : twice} belongs into a file, or into a variable`,
    });
  return stray === undefined && twice === undefined;
}

function commandOf(
  file: string,
  entry: NotifyEntry,
  index: number,
  problems: Problems,
): NotifyTarget["to"] | undefined {
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
  entry: NotifyEntry,
  index: number,
  read: (key: SecretName) => string | undefined,
  problems: Problems,
): NotifyTarget["to"] | undefined {
  if (entry.to === "command" || entry.to === "smtp") return undefined;
  const path = ["notify", index];
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
  if (!/^https?:/.test(url)) {
    problems.add([...path, entry.url === undefined ? "url_file" : "url"], {
      found: `a URL that is not HTTP's with to = "${entry.to}"`,
      accepted: "a URL with http:// or https://",
      advice: 'correct it; for e-mail write to = "smtp"',
    });
    return undefined;
  }
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

/**
 * Returns the one word of a file's first line (a password may have several), or undefined after adding to `problems`,
 * or if none is named.
 */
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
  // A password may have spaces.
  if (line === "" || (key.at(-1) !== "password_file" && /\s/.test(line)) || (isUrl && !URL.canParse(line))) {
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
