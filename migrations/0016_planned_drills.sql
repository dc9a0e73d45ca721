-- When a planned drill was due.
ALTER TABLE `t_drills` ADD `due_at_ms` integer;
--> statement-breakpoint
DROP VIEW drills;
--> statement-breakpoint
CREATE VIEW drills AS
SELECT id, service, kind, gateway, ordered_by, strftime('%Y-%m-%dT%H:%M:%fZ', started_at_ms / 1000.0, 'unixepoch') AS started_at,
       outcome, from_host, to_host, failover, predicted_ms, rto_ms, measured_by, objective_ms, detail,
       rpo_ms, probe_writes, probe_lost,
       strftime('%Y-%m-%dT%H:%M:%fZ', due_at_ms / 1000.0, 'unixepoch') AS due_at
FROM t_drills WHERE deleted = 0;
--> statement-breakpoint
DELETE FROM `t_vector`;
