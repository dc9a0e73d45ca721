/**
 * The gateway in a program of one's own: its types, which the npm package publishes as they stand here
 * (scripts/packaging/npm-package.ts). So they name no other file of these sources.
 */
import type { Context, Hono } from "hono";

export interface EmbeddedGatewayOptions {
  /** Path of the configuration file. */
  readonly config: string;
  /** Who sent a request; default: what the runtime's server says. */
  readonly clientOf?: (context: Context) => {
    readonly address: string;
    readonly port: number;
    readonly secure: boolean;
  };
}

export interface EmbeddedGateway {
  /** Every request, whatever its method and path, goes to the primary of its service. */
  readonly app: Hono;
  /** Of the gateway's own listener, which serves too. */
  readonly port: number;
  readonly adminPort: number;
  /** Rereads the configuration file; it is also reread when it changes. */
  reload(): void;
  /** Stops after the requests in flight, as SIGTERM does with `stead gateway`. */
  close(): Promise<void>;
}

/** Rejects with an error that says what is wrong with the configuration or with this machine, and what to do. */
export type StartGateway = (options: EmbeddedGatewayOptions) => Promise<EmbeddedGateway>;
