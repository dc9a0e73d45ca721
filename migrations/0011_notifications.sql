-- What operators are told, and how telling it ended at each target.
CREATE TABLE `t_notifications` (
	`id` text PRIMARY KEY NOT NULL,
	`teller` text NOT NULL,
	`at_ms` integer NOT NULL,
	`kind` text NOT NULL,
	`severity` text NOT NULL,
	`service` text,
	`host` text,
	`summary` text NOT NULL,
	`detail` text NOT NULL,
	`origin` text NOT NULL,
	`seq` integer NOT NULL,
	`hlc` text NOT NULL,
	`deleted` integer DEFAULT false NOT NULL
);
--> statement-breakpoint
CREATE INDEX `t_notifications_by_time` ON `t_notifications` (`at_ms`);
--> statement-breakpoint
CREATE TABLE `t_deliveries` (
	`notification` text NOT NULL,
	`target` text NOT NULL,
	`gateway` text NOT NULL,
	`outcome` text NOT NULL,
	`attempts` integer NOT NULL,
	`ended_at_ms` integer NOT NULL,
	`detail` text,
	`origin` text NOT NULL,
	`seq` integer NOT NULL,
	`hlc` text NOT NULL,
	`deleted` integer DEFAULT false NOT NULL,
	PRIMARY KEY(`notification`, `target`)
);
--> statement-breakpoint
CREATE VIEW notifications AS
SELECT id, strftime('%Y-%m-%dT%H:%M:%fZ', at_ms / 1000.0, 'unixepoch') AS at, kind, severity, service, host, teller,
       summary, detail
FROM t_notifications WHERE deleted = 0;
--> statement-breakpoint
CREATE VIEW deliveries AS
SELECT d.notification, d.target, n.kind, d.gateway, d.outcome, d.attempts,
       strftime('%Y-%m-%dT%H:%M:%fZ', d.ended_at_ms / 1000.0, 'unixepoch') AS ended_at, d.detail
FROM t_deliveries d LEFT JOIN t_notifications n ON n.id = d.notification WHERE d.deleted = 0;
--> statement-breakpoint
DELETE FROM `t_vector`;
