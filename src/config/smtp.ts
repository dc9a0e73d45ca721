/** `[[notify]]` with to = "smtp": which keys belong together, the server's address, and its authorities. */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { KeyPath } from "./locate.ts";
import type { Problems } from "./problems.ts";
import type { FileContent } from "./schema.ts";
import type { SmtpReceiver } from "./smtp-receiver.ts";

type NotifyEntry = FileContent["notify"][number];

export interface SmtpSource {
  /** Absolute path of the configuration. */
  readonly file: string;
  readonly entry: NotifyEntry;
  readonly path: KeyPath;
  read(key: "url" | "password"): string | undefined;
}

/** Submission (RFC 6409), and submission over TLS (RFC 8314). */
const defaultPorts = { "smtp:": 587, "smtps:": 465 } as const;

/** Returns undefined after adding to `problems`. */
export function smtpOf({ file, entry, path, read }: SmtpSource, problems: Problems): SmtpReceiver | undefined {
  const { from, recipients, user } = entry;
  const missing =
    entry.url === undefined && entry.url_file === undefined
      ? "url"
      : from === undefined
        ? "from"
        : recipients === undefined
          ? "recipients"
          : undefined;
  if (missing !== undefined)
    problems.add(path, {
      found: `to = "smtp" without ${missing}`,
      accepted: "`url`, `from` and `recipients`",
      advice: "add it; the table of keys in the manual has an example for each kind",
    });
  const password = read("password");
  const hasPassword = entry.password !== undefined || entry.password_file !== undefined;
  if ((user === undefined) === hasPassword)
    problems.add([...path, user === undefined ? "password" : "user"], {
      found: user === undefined ? "a password without `user`" : "`user` without a password",
      accepted: "both, or neither for a server that asks for none",
      advice: user === undefined ? "add `user`" : "add `password_file`",
    });
  const server = serverOf(read("url"), { ...entry, path, hasPassword }, problems);
  const ca = entry.ca === undefined ? undefined : readAuthorities(file, entry.ca, [...path, "ca"], problems);
  if (server === undefined || from === undefined || recipients === undefined) return undefined;
  return { kind: "smtp", ...server, user, password, from, recipients, ca };
}

function serverOf(
  url: string | undefined,
  { starttls, path, hasPassword, ...entry }: NotifyEntry & { path: KeyPath; hasPassword: boolean },
  problems: Problems,
): Pick<SmtpReceiver, "host" | "port" | "isTls" | "starttls"> | undefined {
  if (url === undefined) return undefined;
  const { protocol, hostname, port, username, password, pathname, search } = new URL(url);
  const key = [...path, entry.url === undefined ? "url_file" : "url"];
  const isPlain = ["", "/"].includes(pathname) && search === "" && username === "" && password === "";
  if ((protocol !== "smtp:" && protocol !== "smtps:") || hostname === "" || !isPlain) {
    problems.add(key, {
      found: 'a URL that is not only the address of a mail server with to = "smtp"',
      accepted: "smtp://host, smtps://host, each with a port if need be",
      advice: "leave out name, password and path; `user` and `password_file` are keys of their own",
    });
    return undefined;
  }
  const isTls = protocol === "smtps:";
  if (isTls && starttls !== undefined)
    problems.add([...path, "starttls"], {
      found: "starttls with smtps://, which is TLS from the first byte on",
      accepted: "starttls with smtp://",
      advice: "remove it",
    });
  if (starttls === "off" && hasPassword)
    problems.add([...path, "starttls"], {
      found: "a password that would be sent in clear text",
      accepted: 'starttls = "required", or smtps://',
      advice: "remove starttls, or `user` and its password",
    });
  const host = hostname.replace(/^\[|\]$/g, "");
  return { host, port: port === "" ? defaultPorts[protocol] : Number(port), isTls, starttls: starttls ?? "required" };
}

function readAuthorities(file: string, name: string, key: KeyPath, problems: Problems): string | undefined {
  const path = resolve(dirname(file), name);
  try {
    const text = readFileSync(path, "utf8");
    if (text.includes("-----BEGIN CERTIFICATE-----")) return text;
  } catch {
    // said below
  }
  problems.add(key, {
    found: `${JSON.stringify(name)}, which cannot be read or has no certificate`,
    accepted: "a readable file with certificates in PEM",
    advice: `create ${path}, or correct the path (it is relative to the folder of this file)`,
  });
  return undefined;
}
