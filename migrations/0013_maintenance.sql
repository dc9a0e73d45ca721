-- Services in maintenance: requests get a page, for good or until a time (src/gateway/service/timed-orders.ts).
CREATE TABLE `t_maintenance` (
	`service` text PRIMARY KEY NOT NULL,
	`is_on` integer NOT NULL,
	`reason` text,
	`at_ms` integer,
	`until_ms` integer,
	`origin` text NOT NULL,
	`seq` integer NOT NULL,
	`hlc` text NOT NULL,
	`deleted` integer DEFAULT false NOT NULL
);
--> statement-breakpoint
CREATE VIEW maintenance AS
SELECT service, strftime('%Y-%m-%dT%H:%M:%fZ', at_ms / 1000.0, 'unixepoch') AS since,
       strftime('%Y-%m-%dT%H:%M:%fZ', until_ms / 1000.0, 'unixepoch') AS until, reason
FROM t_maintenance
WHERE deleted = 0 AND is_on AND (until_ms IS NULL OR until_ms > unixepoch('subsec') * 1000);
--> statement-breakpoint
DELETE FROM `t_vector`;
