/** `host.hooks`, resolved. */

/** Programs of an operator at the changes of a host's role (src/host/hooks.ts). */
export interface HooksConfig {
  readonly commands: Readonly<
    Partial<Record<"before_start" | "on_promote" | "on_demote", readonly string[] | undefined>>
  >;
  /** Absolute. */
  readonly cwd: string;
  readonly timeoutMs: number;
}
