/** `[[host.vault_copy]]`: the places to which a primary copies the vault. */
import { isS3Url, parseS3Url, s3UrlAccepted } from "../core/s3-place.ts";
import { isVaultUrl } from "../core/vault-address.ts";
import { bucketProblems, settingsOf } from "./bucket.ts";
import type { Problems } from "./problems.ts";
import type { FileContent } from "./schema.ts";
import type { VaultCopyConfig } from "./vault-copy.ts";

type HostContent = NonNullable<FileContent["host"]>;

const copiesMax = 4;

/** `urlOf`: makes a URL of what the file names. */
export const resolveVaultCopies = (
  file: string,
  host: Pick<HostContent, "vault_copy">,
  urlOf: (to: string) => string,
): readonly VaultCopyConfig[] =>
  host.vault_copy.map(({ to, s3 }) => ({ url: urlOf(to), s3: isS3Url(to) ? settingsOf(file, s3) : undefined }));

/** `folderOf`: undefined if it is no folder. */
export function checkVaultCopies(
  { vault, vault_copy: copies }: Pick<HostContent, "vault" | "vault_copy">,
  folderOf: (to: string) => string | undefined,
  problems: Problems,
): void {
  if (copies.length > copiesMax)
    problems.add(["host", "vault_copy", copiesMax], {
      found: `${copies.length} copies of the vault`,
      accepted: `at most ${copiesMax}`,
      advice: "remove some: each is written by the primary",
    });
  const placeOf = (to: string): string => folderOf(to) ?? to.replace(/\/$/, "");
  const places = [vault, ...copies.map(({ to }) => to)].map(placeOf);
  for (const [index, { to, s3 }] of copies.entries()) {
    const path = ["host", "vault_copy", index, "to"];
    if (isVaultUrl(to) || (folderOf(to) === undefined && parseS3Url(to) === undefined))
      problems.add(path, {
        found: JSON.stringify(to),
        accepted: `a folder (its path, or file:///path), or a bucket (${s3UrlAccepted})`,
        advice: isVaultUrl(to)
          ? "a vault server takes no copy: its log is in segments, and a copy's log is in objects; name a folder or a bucket"
          : "name a folder on another disk, or a bucket",
      });
    if (places.indexOf(placeOf(to)) <= index)
      problems.add(path, {
        found: `${JSON.stringify(to)}, which is the vault or another copy`,
        accepted: "a place of its own for each copy",
        advice: "name a folder on another disk, or another bucket",
      });
    bucketProblems({ s3, place: to, path: ["host", "vault_copy", index, "s3"] }, problems);
  }
}
