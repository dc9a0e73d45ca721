-- The phases of a failover on one time axis, and the gap that was expected: columns of failovers and of its view, and a
-- view with one row for each phase.
ALTER TABLE `t_failovers` ADD `gap_start_ms` real;
--> statement-breakpoint
ALTER TABLE `t_failovers` ADD `timeline` text;
--> statement-breakpoint
ALTER TABLE `t_failovers` ADD `predicted_ms` real;
--> statement-breakpoint
ALTER TABLE `t_failovers` ADD `prediction` text;
--> statement-breakpoint
DROP VIEW failovers;
--> statement-breakpoint
CREATE VIEW failovers AS
SELECT id, service, gateway, kind, outcome, from_host, to_host, epoch_from, epoch_to, attempts,
       strftime('%Y-%m-%dT%H:%M:%fZ', decided_at_ms / 1000.0, 'unixepoch') AS decided_at,
       detect_ms, agree_ms, demote_ms, claim_ms, lease_ms, catchup_ms, start_ms, route_ms, wait_ms, retry_ms, gap_ms, cause,
       gap_start_ms, predicted_ms
FROM t_failovers WHERE deleted = 0;
--> statement-breakpoint
CREATE VIEW failover_phases AS
SELECT f.id AS failover, f.service, f.kind, f.outcome,
       strftime('%Y-%m-%dT%H:%M:%fZ', f.decided_at_ms / 1000.0, 'unixepoch') AS decided_at,
       s.value ->> 'phase' AS phase, s.value ->> 'startMs' AS start_ms, s.value ->> 'ms' AS ms
FROM t_failovers f, json_each(iif(json_valid(f.timeline), f.timeline, '[]')) s WHERE f.deleted = 0
UNION ALL
SELECT id, service, kind, outcome, strftime('%Y-%m-%dT%H:%M:%fZ', decided_at_ms / 1000.0, 'unixepoch'),
       'gap', gap_start_ms, gap_ms
FROM t_failovers WHERE deleted = 0 AND gap_ms IS NOT NULL AND gap_start_ms IS NOT NULL;
--> statement-breakpoint
DELETE FROM `t_vector`;
