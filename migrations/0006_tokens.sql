-- Credentials of people and programs, with a role. The hash of a token is read by no view, and by no operator's statement.
CREATE TABLE `t_tokens` (
	`id` text PRIMARY KEY NOT NULL,
	`name` text NOT NULL,
	`role` text NOT NULL,
	`hash` text NOT NULL,
	`created_at_ms` integer NOT NULL,
	`created_by` text NOT NULL,
	`expires_at_ms` integer,
	`origin` text NOT NULL,
	`seq` integer NOT NULL,
	`hlc` text NOT NULL,
	`deleted` integer DEFAULT false NOT NULL
);
--> statement-breakpoint
CREATE VIEW tokens AS
SELECT id, name, role, strftime('%Y-%m-%dT%H:%M:%fZ', created_at_ms / 1000.0, 'unixepoch') AS created_at, created_by,
       strftime('%Y-%m-%dT%H:%M:%fZ', expires_at_ms / 1000.0, 'unixepoch') AS expires_at
FROM t_tokens WHERE deleted = 0;
