-- Drills that are ordered for a time: rows with the outcome `planned`, which the view leaves out, and how long they last.
ALTER TABLE `t_drills` ADD `for_ms` integer;
--> statement-breakpoint
DROP VIEW drills;
--> statement-breakpoint
CREATE VIEW drills AS
SELECT id, service, kind, gateway, ordered_by, strftime('%Y-%m-%dT%H:%M:%fZ', started_at_ms / 1000.0, 'unixepoch') AS started_at,
       outcome, from_host, to_host, failover, predicted_ms, rto_ms, measured_by, objective_ms, detail,
       rpo_ms, probe_writes, probe_lost,
       strftime('%Y-%m-%dT%H:%M:%fZ', due_at_ms / 1000.0, 'unixepoch') AS due_at
FROM t_drills WHERE deleted = 0 AND outcome <> 'planned';
--> statement-breakpoint
DELETE FROM `t_vector`;
