-- What a host's application, disks and vault are like, and what ended a primary: columns of health and failovers, and of their views.
ALTER TABLE `t_health` ADD `application` text;
--> statement-breakpoint
ALTER TABLE `t_health` ADD `impairments` text;
--> statement-breakpoint
ALTER TABLE `t_health` ADD `vault_error` text;
--> statement-breakpoint
ALTER TABLE `t_health` ADD `suspects` integer;
--> statement-breakpoint
ALTER TABLE `t_health` ADD `retry_reason` text;
--> statement-breakpoint
ALTER TABLE `t_health` ADD `retry_at_ms` integer;
--> statement-breakpoint
ALTER TABLE `t_failovers` ADD `cause` text;
--> statement-breakpoint
DROP VIEW health;
--> statement-breakpoint
CREATE VIEW health AS
SELECT gateway, service, host, health, cause, role, instance, epoch, position,
       strftime('%Y-%m-%dT%H:%M:%fZ', changed_at_ms / 1000.0, 'unixepoch') AS changed_at,
       application, impairments, vault_error, suspects, retry_reason,
       strftime('%Y-%m-%dT%H:%M:%fZ', retry_at_ms / 1000.0, 'unixepoch') AS retry_at
FROM t_health WHERE deleted = 0;
--> statement-breakpoint
DROP VIEW failovers;
--> statement-breakpoint
CREATE VIEW failovers AS
SELECT id, service, gateway, kind, outcome, from_host, to_host, epoch_from, epoch_to, attempts,
       strftime('%Y-%m-%dT%H:%M:%fZ', decided_at_ms / 1000.0, 'unixepoch') AS decided_at,
       detect_ms, agree_ms, demote_ms, claim_ms, lease_ms, catchup_ms, start_ms, route_ms, wait_ms, retry_ms, gap_ms, cause
FROM t_failovers WHERE deleted = 0;
