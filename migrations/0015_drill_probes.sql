-- Whether acknowledged writes were lost in a drill.
ALTER TABLE `t_drills` ADD `rpo_ms` real;
--> statement-breakpoint
ALTER TABLE `t_drills` ADD `probe_writes` integer;
--> statement-breakpoint
ALTER TABLE `t_drills` ADD `probe_lost` integer;
--> statement-breakpoint
DROP VIEW drills;
--> statement-breakpoint
CREATE VIEW drills AS
SELECT id, service, kind, gateway, ordered_by, strftime('%Y-%m-%dT%H:%M:%fZ', started_at_ms / 1000.0, 'unixepoch') AS started_at,
       outcome, from_host, to_host, failover, predicted_ms, rto_ms, measured_by, objective_ms, detail,
       rpo_ms, probe_writes, probe_lost
FROM t_drills WHERE deleted = 0;
--> statement-breakpoint
DELETE FROM `t_vector`;
