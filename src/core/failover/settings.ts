/** What the decisions about a service are configured with. Times are milliseconds. */
export interface FailoverSettings {
  readonly gateway: string;
  readonly service: string;
  readonly fall: number;
  readonly rise: number;
  /** How long to wait for other gateways' views without a majority. */
  readonly agreeWaitMs: number;
  readonly staggerMs: number;
  readonly viewFreshMs: number;
  /** An older report of a candidate is not trusted. */
  readonly staleMs: number;
  /** A stream that was heard within this time was alive. */
  readonly streamAliveMs: number;
  /** How long an owner that has not reported since its claim may take before its silence counts against it. */
  readonly awaitMs: number;
  /** On an empty vault: how long to wait for all hosts before one is chosen among those that answer. */
  readonly electWaitMs: number;
  readonly retryMs: number;
  /** A candidate that has not claimed for this long, without reading on in the log, is given up. */
  readonly claimMs: number;
  /** Same after its claim. While the host reports that its application starts, its own ready timeout applies. */
  readonly startMs: number;
  /** An impaired primary that does not step down within this time is replaced. */
  readonly demoteMs: number;
}
