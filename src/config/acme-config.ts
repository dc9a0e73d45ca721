/** [gateway.tls.acme], resolved: certificates from an authority that speaks ACME (RFC 8555). */
export interface AcmeConfig {
  /** URL of the authority's directory. */
  readonly directory: string;
  readonly email?: string | undefined;
  /** One certificate for all of them. */
  readonly domains: readonly string[];
  readonly challenge: "http-01" | "tls-alpn-01";
  /** Absolute. */
  readonly folder: string;
  /** PEM of the authorities that the directory's own certificate is checked with; undefined: the public ones. */
  readonly caPath?: string | undefined;
}
