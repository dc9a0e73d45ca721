/**
 * The environment for processes that need nothing of this one: the application, and helpers that hold other people's
 * bytes. It has no secret of stead, nothing that would steer another runtime, and nothing by which the service manager
 * talks to this process: an application that had NOTIFY_SOCKET could report for the host, one that had LISTEN_FDS would
 * take descriptors for sockets.
 *
 * A variable that is meant for the application belongs into `host.application.env`, which is added after this.
 */
type Environment = Readonly<Record<string, string | undefined>>;

const prefixes = ["STEAD_", "BUN_", "MIMALLOC_", "LISTEN_", "WATCHDOG_"];
const names: ReadonlySet<string> = new Set([
  "CREDENTIALS_DIRECTORY",
  "JOURNAL_STREAM",
  "MAINPID",
  "NODE_CHANNEL_FD",
  "NODE_EXTRA_CA_CERTS",
  "NODE_OPTIONS",
  "NODE_TLS_REJECT_UNAUTHORIZED",
  "NOTIFY_SOCKET",
]);

export const cleanEnvironment = (environment: Environment): Record<string, string | undefined> =>
  Object.fromEntries(
    Object.entries(environment).filter(
      ([name]) => !names.has(name) && !prefixes.some((prefix) => name.startsWith(prefix)),
    ),
  );
