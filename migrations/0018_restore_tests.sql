-- What hosts have found in their scheduled restore tests.
CREATE TABLE `t_restore_tests` (
	`id` text PRIMARY KEY NOT NULL,
	`service` text NOT NULL,
	`host` text NOT NULL,
	`at_ms` integer NOT NULL,
	`outcome` text NOT NULL,
	`took_ms` real NOT NULL,
	`position` integer,
	`bytes` integer,
	`detail` text,
	`origin` text NOT NULL,
	`seq` integer NOT NULL,
	`hlc` text NOT NULL,
	`deleted` integer DEFAULT false NOT NULL
);
--> statement-breakpoint
CREATE VIEW restore_tests AS
SELECT service, host, strftime('%Y-%m-%dT%H:%M:%fZ', at_ms / 1000.0, 'unixepoch') AS started_at,
       outcome, took_ms, position, bytes, detail
FROM t_restore_tests WHERE deleted = 0;
--> statement-breakpoint
DELETE FROM `t_vector`;
