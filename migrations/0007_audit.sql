-- Calls of the admin API that change something, and calls that were refused for their credentials.
CREATE TABLE `t_audit` (
	`id` text PRIMARY KEY NOT NULL,
	`at_ms` integer NOT NULL,
	`gateway` text NOT NULL,
	`who` text,
	`role` text,
	`address` text,
	`method` text,
	`path` text,
	`subject` text,
	`outcome` text NOT NULL,
	`status` integer,
	`detail` text,
	`calls` integer NOT NULL,
	`origin` text NOT NULL,
	`seq` integer NOT NULL,
	`hlc` text NOT NULL,
	`deleted` integer DEFAULT false NOT NULL
);
--> statement-breakpoint
CREATE INDEX `t_audit_by_time` ON `t_audit` (`at_ms`);
--> statement-breakpoint
CREATE VIEW audit AS
SELECT id, strftime('%Y-%m-%dT%H:%M:%fZ', at_ms / 1000.0, 'unixepoch') AS at, gateway, who, role, address, method, path,
       subject, outcome, status, detail, calls
FROM t_audit WHERE deleted = 0;
