/**
 * How many client connections fit into the limit of open descriptors. A connection needs two, because one that is a
 * tunnel, or logged in as a connection, has an upstream connection for itself; the rest of the process has a reserve.
 * A listener with more connections than that could use up all descriptors, and the process could open nothing else.
 */
import { openFileLimit } from "../../runtime/open-file-limit.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import { limitTable } from "../limits.ts";

const perConnection = 2;
const reserve = 128;

export interface ConnectionsFinding {
  readonly found: string;
  readonly accepted: string;
  readonly advice: string;
}

/** The configured connections do not fit into the limit of open files. */
export class ConnectionLimitError extends OperatorError {
  constructor(finding: ConnectionsFinding) {
    super("configuration", finding);
  }
}

/** `limit`: of open descriptors; undefined: unknown, or none. */
const connectionsWithin = (limit: number | undefined): number =>
  limit === undefined ? Infinity : Math.max(1, Math.floor((limit - reserve) / perConnection));

/** Returns the default lowered to what fits; a configured number as it is. */
export const fittingConnections = (connections: number, limit = openFileLimit()): number =>
  isDefault(connections) ? Math.min(connections, connectionsWithin(limit)) : connections;

/** Checks a configured number: `key` is its setting. The default fits by itself. */
export function checkConnections(
  key: string,
  connections: number,
  limit = openFileLimit(),
): ConnectionsFinding | undefined {
  if (isDefault(connections) || connections <= connectionsWithin(limit)) return undefined;
  return {
    found: `${key} = ${connections}, and a limit of ${limit ?? 0} open files`,
    accepted: `at most ${connectionsWithin(limit)} connections, or at least ${connections * perConnection + reserve} open files`,
    advice: `lower ${key}, or raise the limit of open files (LimitNOFILE= of systemd, ulimit -n, --ulimit nofile= of containers)`,
  };
}

/** Throws `ConnectionLimitError`. */
export function assertConnections(key: string, connections: number): void {
  const finding = checkConnections(key, connections);
  if (finding !== undefined) throw new ConnectionLimitError(finding);
}

const isDefault = (connections: number): boolean => connections === limitTable.connectionsMax.default;
