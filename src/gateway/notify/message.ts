/**
 * A notification as the body of an HTTP request, in the form that each receiver expects. Formats:
 * - Slack: incoming webhooks, `text`.
 * - Teams: "When a Teams webhook request is received" of Workflows, an Adaptive Card 1.4.
 * - PagerDuty: Events API v2; `dedup_key` is the notification's id, so that a repetition opens no second incident.
 * - ntfy: publishing as JSON; 5 is the highest priority.
 */
import type { MessageFormat, Notification, NotifySeverity } from "../../core/notify/notification.ts";

export interface MessageOptions {
  readonly format: MessageFormat;
  /** PagerDuty's integration key. */
  readonly routingKey: string | undefined;
  /** Of ntfy. */
  readonly topic: string | undefined;
}

export function messageOfNotification(
  notification: Notification,
  { format, routingKey, topic }: MessageOptions,
): unknown {
  const title = titleOf(notification);
  switch (format) {
    case "webhook":
      return plainNotification(notification);
    case "slack":
      return { text: `*${title}*\n${notification.detail}` };
    case "teams":
      return teamsCard(title, notification);
    case "pagerduty":
      return {
        routing_key: routingKey,
        event_action: "trigger",
        dedup_key: notification.id,
        payload: {
          summary: title.slice(0, pagerDutySummaryMax),
          source: `stead gateway ${notification.gateway}`,
          severity: notification.severity,
          timestamp: new Date(notification.atMs).toISOString(),
          component: notification.service,
          class: notification.kind,
          custom_details: plainNotification(notification),
        },
      };
    case "ntfy":
      return {
        topic,
        title,
        message: notification.detail,
        priority: ntfyPriority[notification.severity],
        tags: [notification.kind],
      };
  }
}

const pagerDutySummaryMax = 1_024;
const ntfyPriority: Readonly<Record<NotifySeverity, number>> = { info: 3, warning: 4, critical: 5 };

export const titleOf = ({ severity, summary }: Notification): string => `[${severity}] ${summary}`;

/** The notification as programs read it: a webhook's body, and the standard input of a command. */
export const plainNotification = (notification: Notification) => ({
  version: 1,
  id: notification.id,
  kind: notification.kind,
  severity: notification.severity,
  service: notification.service ?? null,
  host: notification.host ?? null,
  gateway: notification.gateway,
  at: new Date(notification.atMs).toISOString(),
  summary: notification.summary,
  detail: notification.detail,
});

function teamsCard(title: string, { detail, service, kind }: Notification): unknown {
  const text = (value: string, more: object = {}): object => ({ type: "TextBlock", text: value, wrap: true, ...more });
  const content = {
    $schema: "http://adaptivecards.io/schemas/adaptive-card.json",
    type: "AdaptiveCard",
    version: "1.4",
    body: [text(title, { weight: "bolder" }), text(detail), text(`${service ?? "cluster"} · ${kind}`)],
  };
  return { type: "message", attachments: [{ contentType: "application/vnd.microsoft.card.adaptive", content }] };
}
