/**
 * What opens the vault's keys in place of the cluster's secret, from at most one of `host.vault_key`,
 * `host.vault_key_file`, `host.vault_key_command` and the environment variable STEAD_VAULT_KEY.
 *
 * The cluster's secret is on every machine of the cluster, also on that of a vault server. A key of its own is on hosts
 * alone. The program of `vault_key_command` is not started here: only who opens the vault does that.
 */
import { dirname } from "node:path";
import type { Problems } from "./problems.ts";
import type { FileContent } from "./schema.ts";
import { checkSecret, readSecretFile, warnWhenWritten } from "./secret.ts";
import type { VaultKeySource } from "./types.ts";
import type { Filled } from "./variables.ts";

export interface VaultKeyInput {
  readonly file: string;
  readonly host: Pick<NonNullable<FileContent["host"]>, "vault_key" | "vault_key_file" | "vault_key_command">;
  readonly filled: Pick<Filled, "has">;
  readonly env: Readonly<Partial<Record<string, string>>>;
}

/** Undefined: the cluster's secret opens them, or `problems` says what is wrong. */
export function readVaultKey(
  { file, host, env, filled }: VaultKeyInput,
  problems: Problems,
  warnings: Problems,
): VaultKeySource | undefined {
  const { vault_key: written, vault_key_file: name, vault_key_command: command } = host;
  const fromEnv = env["STEAD_VAULT_KEY"];
  const sources = [
    ...(written === undefined ? [] : ["host.vault_key"]),
    ...(name === undefined ? [] : ["host.vault_key_file"]),
    ...(command === undefined ? [] : ["host.vault_key_command"]),
    ...(fromEnv === undefined ? [] : ["the environment variable STEAD_VAULT_KEY"]),
  ];
  if (sources.length > 1) {
    problems.add(["host"], {
      found: `${sources.length} sources of the vault's key: ${sources.join(" and ")}`,
      accepted: "one of them, or none: then the cluster's secret opens the vault's keys",
      advice: "remove the others",
    });
    return undefined;
  }
  const [program, ...args] = command ?? [];
  if (program !== undefined) return { kind: "command", command: [program, ...args], folder: dirname(file) };
  if (written !== undefined) warnWhenWritten({ file, filled }, ["host", "vault_key"], warnings);
  const given = written ?? fromEnv;
  const key =
    name === undefined
      ? given === undefined
        ? undefined
        : checkSecret(given, written === undefined ? ["host"] : ["host", "vault_key"], problems)
      : readSecretFile({ configFile: file, name, key: ["host", "vault_key_file"] }, problems, warnings);
  return key === undefined ? undefined : { kind: "key", key };
}
