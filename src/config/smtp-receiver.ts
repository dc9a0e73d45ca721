/** A mail server, and whom it shall tell: a target of `[[notify]]`. */
export interface SmtpReceiver {
  readonly kind: "smtp";
  readonly host: string;
  readonly port: number;
  /** TLS from the first byte on. */
  readonly isTls: boolean;
  /** Otherwise: whether the connection must change to TLS, or stays in clear text. */
  readonly starttls: "required" | "off";
  /** Both undefined: without signing in. */
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly from: string;
  readonly recipients: readonly string[];
  /** Authorities in PEM; undefined: those of the runtime. */
  readonly ca: string | undefined;
}
