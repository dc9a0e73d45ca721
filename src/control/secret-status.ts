/**
 * What a process tells of the cluster's secrets that it knows: ids (channel/keyring.ts), which reveal nothing of them,
 * and where they come from. `stead secret rotate` learns from it who has read the new one.
 */
import * as v from "valibot";
import type { Keyring } from "./channel/keyring.ts";

const wallTimeMs = v.pipe(v.number(), v.integer(), v.minValue(0));

export const secretStatusSchema = v.object({
  /** Of the secret that this process calls with. */
  id: v.string(),
  /** The former secret, while it is valid too; null: it is not rotated. */
  former: v.nullable(v.object({ id: v.string(), untilMs: wallTimeMs })),
  /** `file`: read again when it changes. With all others the process must restart; `given`: by who embeds it. */
  from: v.picklist(["file", "configuration", "environment", "given"]),
  /** Where to change it; null: not in a file. */
  file: v.nullable(v.string()),
  /** The vault server of this host; null: it uses none. */
  vaultServer: v.optional(v.nullable(v.string()), null),
  /** With how many secrets the vault's keys open, and whether with `id`. null: a gateway, or a vault without keys. */
  vaultKeys: v.optional(v.nullable(v.object({ opens: v.boolean(), secrets: wallTimeMs })), null),
});
export type SecretStatus = v.InferOutput<typeof secretStatusSchema>;

/** True if a process takes calls under the secret with this id. */
export const knowsSecret = (told: SecretStatus | null | undefined, id: string): boolean =>
  told?.id === id || told?.former?.id === id;

type KnownVaultKeys = NonNullable<SecretStatus["vaultKeys"]>;

/** Of a process: where its secrets come from. */
export interface KnownSecrets {
  readonly former: { readonly untilMs: number } | undefined;
  readonly from:
    | { readonly kind: "file" | "configuration"; readonly path: string }
    | { readonly kind: "environment" }
    | undefined;
}

export function secretStatus(
  { keys }: Keyring,
  { former, from }: KnownSecrets,
  vault?: { readonly server: string | undefined; readonly keys: KnownVaultKeys | undefined },
): SecretStatus {
  const [first, second] = keys;
  return {
    id: first?.id ?? "",
    former: former === undefined || second === undefined ? null : { id: second.id, untilMs: former.untilMs },
    from: from?.kind ?? "given",
    file: from !== undefined && "path" in from ? from.path : null,
    vaultServer: vault?.server ?? null,
    vaultKeys: vault?.keys ?? null,
  };
}
