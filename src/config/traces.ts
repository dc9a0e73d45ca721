/** `[gateway.traces]`: checks header fields, and reads those of a file, which are secrets. */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { KeyPath } from "./locate.ts";
import type { Problems } from "./problems.ts";
import type { FileContent } from "./schema.ts";
import { warnWhenReadable, warnWhenWritten } from "./secret.ts";
import type { TracesConfig } from "./types.ts";
import type { FileSource } from "./variables.ts";

type Content = NonNullable<FileContent["gateway"]>["traces"];

const place = ["gateway", "traces"] as const;
const fieldLine = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e]+)$/;
const fieldAccepted = "header fields as HTTP has them: a token, and visible ASCII characters as its value";
/** What the body is, is not for a file to say. */
const ownFields: ReadonlySet<string> = new Set(["content-type", "content-length", "host", "transfer-encoding"]);

/** Returns undefined without such a table. */
export function resolveTraces(
  { file, filled }: FileSource,
  traces: Content,
  problems: Problems,
  warnings: Problems,
): TracesConfig | undefined {
  if (traces === undefined) return undefined;
  const { endpoint, headers, headers_file, sample, timeout } = traces;
  for (const name of Object.keys(headers)) warnWhenWritten({ file, filled }, [...place, "headers", name], warnings);
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  const inline = fieldsOf(lines, [...place, "headers"], problems);
  const secret = headers_file === undefined ? [] : readFields(file, headers_file, problems, warnings);
  const all: Record<string, string> = {};
  for (const [name, value] of [...inline, ...secret]) {
    if (Object.hasOwn(all, name))
      problems.add([...place, headers_file === undefined ? "headers" : "headers_file"], {
        found: `the header ${name} twice`,
        accepted: "each once, in `headers` or in `headers_file`",
        advice: "remove one of them",
      });
    all[name] = value;
  }
  return { endpoint, headers: all, sample, timeoutMs: timeout };
}

function readFields(file: string, name: string, problems: Problems, warnings: Problems): [string, string][] {
  const path = resolve(dirname(file), name);
  const key = [...place, "headers_file"];
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    problems.add(key, {
      found: `${JSON.stringify(name)}, which cannot be read (${(error as NodeJS.ErrnoException).code ?? String(error)})`,
      accepted: "a readable file with a header in each line",
      advice: `create ${path}, or correct the path (it is relative to the folder of this file)`,
    });
    return [];
  }
  warnWhenReadable(path, key, warnings);
  const lines = text.split(/\r?\n/).filter((line) => line !== "");
  return fieldsOf(lines, key, problems);
}

/** Names in lower case. A line that is none is not shown: it may be a secret. */
function fieldsOf(lines: readonly string[], key: KeyPath, problems: Problems): [string, string][] {
  return lines.flatMap((line, index): [string, string][] => {
    const [, name = "", value = ""] = fieldLine.exec(line) ?? [];
    const isOwn = ownFields.has(name.toLowerCase());
    if (name !== "" && !isOwn) return [[name.toLowerCase(), value]];
    problems.add(key, {
      found: isOwn ? `the header ${name}, which stead sets itself` : `entry ${index + 1}, which is no header field`,
      accepted: fieldAccepted,
      advice: isOwn ? "remove it" : 'write it as `Name: value` in a file, or as Name = "value" in `headers`',
    });
    return [];
  });
}
