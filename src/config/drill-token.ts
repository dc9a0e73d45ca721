/** `service.objective.probe.token` and `token_file`: what a probe's writes and reads prove themselves with. */
import { readLine } from "./notify.ts";
import type { Problems } from "./problems.ts";
import type { FileContent } from "./schema.ts";
import { warnWhenWritten } from "./secret.ts";
import type { FileSource } from "./variables.ts";

/** Returns the tokens by the names of their services; adds to `problems` what cannot be one. */
export function readProbeTokens(
  source: FileSource,
  services: FileContent["service"],
  problems: Problems,
  warnings: Problems,
): ReadonlyMap<string, string> {
  const tokens = new Map<string, string>();
  for (const [index, { name, objective }] of services.entries()) {
    const { token, token_file: file, headers = {} } = objective.probe ?? {};
    const path = ["service", index, "objective", "probe"] as const;
    const named = [
      ...(token === undefined ? [] : ["token"]),
      ...(file === undefined ? [] : ["token_file"]),
      ...Object.keys(headers).filter((header) => header.toLowerCase() === "authorization"),
    ];
    if (token === undefined && file === undefined) continue;
    if (named.length > 1) {
      problems.add([...path, token === undefined ? "token_file" : "token"], {
        found: `${named.join(" and ")}, which are one field of a request`,
        accepted: "one of token, token_file and the header Authorization",
        advice: "remove the others",
      });
      continue;
    }
    if (token !== undefined) warnWhenWritten(source, [...path, "token"], warnings);
    const read = token ?? readLine(source.file, file, [...path, "token_file"], problems, warnings);
    if (read !== undefined) tokens.set(name, read);
  }
  return tokens;
}
