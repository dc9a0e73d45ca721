/**
 * What operators are told: kinds, severities, and which events are worth telling. A notification's id is the same
 * whichever
 * gateway tells it, so that a receiver can drop a repetition.
 *
 * Two sorts of ids:
 * - What has a name in the cluster takes it: a change of the primary its epoch, the result of a drill its event.
 * - A condition that several gateways see, each with an event of its own, has a number: the episode. An event within
 *   `episodeMs` of the last notification about the same thing belongs to that episode and is not told again.
 */
export const notificationKinds = [
  "failover",
  "switchover",
  "no-candidate",
  "brake",
  "host-failed",
  "drill-passed",
  "drill-failed",
  "restore-test-failed",
  "certificate",
  "test",
] as const;
export type NotificationKind = (typeof notificationKinds)[number];

export const severities = ["info", "warning", "critical"] as const;
export type NotifySeverity = (typeof severities)[number];

/** Forms of the body of an HTTP request (src/gateway/notify/message.ts). */
export const messageFormats = ["webhook", "slack", "teams", "pagerduty", "ntfy"] as const;
export type MessageFormat = (typeof messageFormats)[number];

export interface Notification {
  readonly id: string;
  readonly kind: NotificationKind;
  readonly severity: NotifySeverity;
  readonly service: string | undefined;
  readonly host: string | undefined;
  /** The gateway that tells it. */
  readonly gateway: string;
  readonly atMs: number;
  /** One line. */
  readonly summary: string;
  readonly detail: string;
}

/** Which notifications a target wants; undefined: all. */
export interface NotificationFilter {
  readonly kinds: readonly NotificationKind[] | undefined;
  readonly severity: NotifySeverity;
  readonly services: readonly string[] | undefined;
}

/**
 * A test reaches every target; a notification about no service, such as a certificate, reaches those of every
 * service.
 */
export function isWanted(
  { kinds, severity, services }: NotificationFilter,
  notification: Pick<Notification, "kind" | "severity" | "service">,
): boolean {
  if (notification.kind === "test") return true;
  if (kinds !== undefined && !kinds.includes(notification.kind)) return false;
  if (severities.indexOf(notification.severity) < severities.indexOf(severity)) return false;
  return services === undefined || notification.service === undefined || services.includes(notification.service);
}

/** An event that is told. `isSeenByAll`: each gateway records one of its own. */
interface EventRule {
  readonly kind: NotificationKind;
  readonly severity: NotifySeverity;
  readonly isSeenByAll: boolean;
}

const eventRules: Readonly<Partial<Record<string, EventRule>>> = {
  "failover-no-candidate": { kind: "no-candidate", severity: "critical", isSeenByAll: true },
  "failover-braked": { kind: "brake", severity: "critical", isSeenByAll: true },
  "host-down": { kind: "host-failed", severity: "warning", isSeenByAll: true },
  "certificate-expiring": { kind: "certificate", severity: "warning", isSeenByAll: false },
  "certificate-refused": { kind: "certificate", severity: "warning", isSeenByAll: false },
  "drill-passed": { kind: "drill-passed", severity: "info", isSeenByAll: false },
  "drill-missed": { kind: "drill-failed", severity: "warning", isSeenByAll: false },
  "drill-failed": { kind: "drill-failed", severity: "warning", isSeenByAll: false },
  "restore-test-failed": { kind: "restore-test-failed", severity: "critical", isSeenByAll: true },
};

/** Undefined: an event of this name is not told. */
export const ruleOfEvent = (what: string): EventRule | undefined =>
  Object.hasOwn(eventRules, what) ? eventRules[what] : undefined;

/** Events about one thing that are closer than this are one episode. */
export const episodeMs = 60_000;

interface KnownNotification {
  readonly id: string;
  readonly atMs: number;
}

/** What an episode is about; ids of services and hosts have no slash. */
export const subjectOf = (kind: NotificationKind, service: string | undefined, host: string | undefined): string =>
  `${service ?? ""}/${kind}/${host ?? ""}`;

/** Returns the id of the episode that begins; undefined: the event belongs to one that was told. */
export function episodeOf(subject: string, atMs: number, known: Iterable<KnownNotification>): string | undefined {
  let last = 0;
  for (const notification of known) {
    if (!notification.id.startsWith(`${subject}/`)) continue;
    if (Math.abs(atMs - notification.atMs) < episodeMs) return undefined;
    last = Math.max(last, Number(notification.id.slice(subject.length + 1)) || 0);
  }
  return `${subject}/${last + 1}`;
}

export const primaryNotificationId = (service: string, epoch: number): string => `${service}/primary/${epoch}`;
