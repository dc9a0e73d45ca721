-- Rehearsed failovers in production, with what they measured.
CREATE TABLE `t_drills` (
	`id` text PRIMARY KEY NOT NULL,
	`service` text NOT NULL,
	`kind` text NOT NULL,
	`gateway` text NOT NULL,
	`ordered_by` text NOT NULL,
	`started_at_ms` integer NOT NULL,
	`outcome` text NOT NULL,
	`from_host` text,
	`to_host` text,
	`failover` text,
	`predicted_ms` real,
	`rto_ms` real,
	`measured_by` text,
	`objective_ms` real,
	`detail` text NOT NULL,
	`origin` text NOT NULL,
	`seq` integer NOT NULL,
	`hlc` text NOT NULL,
	`deleted` integer DEFAULT false NOT NULL
);
--> statement-breakpoint
CREATE VIEW drills AS
SELECT id, service, kind, gateway, ordered_by, strftime('%Y-%m-%dT%H:%M:%fZ', started_at_ms / 1000.0, 'unixepoch') AS started_at,
       outcome, from_host, to_host, failover, predicted_ms, rto_ms, measured_by, objective_ms, detail
FROM t_drills WHERE deleted = 0;
--> statement-breakpoint
DELETE FROM `t_vector`;
