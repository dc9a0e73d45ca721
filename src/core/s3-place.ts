/**
 * Where a vault in a bucket is: `s3://bucket/prefix`, as in `host.vault`, and the server that has the bucket, as in
 * [host.vault_s3].
 *
 * Bucket and prefix consist of characters that no encoding changes, so that a name is the same in a URL, in a signature
 * and in a listing.
 */

export interface S3Bucket {
  readonly bucket: string;
  /** Ends with a slash. */
  readonly prefix: string;
}

/** True if the text means a bucket, whether or not it is correct. */
export const isS3Url = (text: string): boolean => text.startsWith("s3:");

export const s3UrlAccepted = "s3://bucket/prefix of letters, digits and ._- (a bucket's name: lower case)";

const prefixLengthMax = 200;
const bucketUrl =
  /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])\/([A-Za-z0-9_][A-Za-z0-9._-]*(?:\/[A-Za-z0-9_][A-Za-z0-9._-]*)*)\/?$/;

/** Undefined: it is not `s3://bucket/prefix`. */
export function parseS3Url(text: string): S3Bucket | undefined {
  const [, bucket, prefix = ""] = bucketUrl.exec(text) ?? [];
  if (bucket === undefined || prefix.length > prefixLengthMax) return undefined;
  return { bucket, prefix: `${prefix}/` };
}

export interface S3Endpoint {
  readonly secure: boolean;
  /** Without the brackets of IPv6. */
  readonly host: string;
  readonly port: number;
}

export const s3EndpointAccepted = 'https://host, or http://host:port, without a path, for example "https://s3.example"';

/** Undefined: not accepted. Without a port it is 443 or 80. */
export function parseS3Endpoint(text: string): S3Endpoint | undefined {
  const [, scheme, name = "", port] =
    /^(https?):\/\/([a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]+\])(?::(\d{1,5}))?\/?$/.exec(text) ?? [];
  if (scheme === undefined) return undefined;
  const secure = scheme === "https";
  const number = port === undefined ? (secure ? 443 : 80) : Number(port);
  if (number < 1 || number > 65_535) return undefined;
  return { secure, host: name.replace(/^\[|\]$/g, ""), port: number };
}

/** Where the credentials come from. They are never in the configuration. */
export type S3CredentialSource =
  /** STEAD_S3_ACCESS_KEY_ID, STEAD_S3_SECRET_ACCESS_KEY and, for temporary ones, STEAD_S3_SESSION_TOKEN. */
  | { readonly kind: "environment" }
  /** In the format of `~/.aws/credentials`. */
  | { readonly kind: "file"; readonly path: string; readonly profile: string };

/** [host.vault_s3], resolved. */
export interface S3Settings {
  readonly endpoint: S3Endpoint;
  readonly region: string;
  /** The bucket is in the path, not in the host name. */
  readonly pathStyle: boolean;
  /** PEM file of the authorities that the endpoint's certificate is checked with; undefined: the public ones. */
  readonly caPath: string | undefined;
  readonly credentials: S3CredentialSource;
}

/** Of AWS. */
export const publicEndpoint = (region: string): S3Endpoint => ({
  secure: true,
  host: `s3.${region}.amazonaws.com`,
  port: 443,
});
