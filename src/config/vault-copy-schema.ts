/** The tables `[[host.vault_copy]]`, and what they share with `[host.vault_s3]`: where a bucket is. */
import * as v from "valibot";
import { flag, message, s3Endpoint, table, text } from "./fields.ts";

const regionMessage = message(
  'the name of a region in lower case, for example "eu-central-1"',
  "write what the store's console shows",
);
const regionName = v.pipe(v.string(regionMessage), v.regex(/^[a-z0-9][a-z0-9-]{0,62}$/, regionMessage));

export const bucketEntries = {
  endpoint: v.optional(s3Endpoint),
  region: v.optional(regionName, "us-east-1"),
  path_style: v.optional(flag),
  ca: v.optional(text("path of a PEM file with the authorities of the endpoint's certificate")),
  credentials_file: v.optional(text("path of a file in the format of ~/.aws/credentials")),
  profile: v.optional(text("the name of a profile in that file")),
};

export const vaultCopy = table("[host.vault_copy]", {
  to: text(
    "path of a folder, or a bucket",
    'name a folder on another disk, for example "/mnt/other/notes", or a bucket: "s3://bucket/notes"',
  ),
  s3: v.optional(table("host.vault_copy.s3", bucketEntries)),
});
