CREATE TABLE `t_epochs` (
	`service` text NOT NULL,
	`epoch` integer NOT NULL,
	`host` text NOT NULL,
	`data_url` text,
	`first_seen_at_ms` integer NOT NULL,
	`origin` text NOT NULL,
	`seq` integer NOT NULL,
	`hlc` text NOT NULL,
	`deleted` integer DEFAULT false NOT NULL,
	PRIMARY KEY(`service`, `epoch`)
);
--> statement-breakpoint
CREATE TABLE `t_events` (
	`id` text PRIMARY KEY NOT NULL,
	`at_ms` integer NOT NULL,
	`gateway` text NOT NULL,
	`service` text,
	`host` text,
	`level` text NOT NULL,
	`what` text NOT NULL,
	`detail` text NOT NULL,
	`origin` text NOT NULL,
	`seq` integer NOT NULL,
	`hlc` text NOT NULL,
	`deleted` integer DEFAULT false NOT NULL
);
--> statement-breakpoint
CREATE INDEX `t_events_by_time` ON `t_events` (`at_ms`);--> statement-breakpoint
CREATE TABLE `t_failovers` (
	`id` text PRIMARY KEY NOT NULL,
	`service` text NOT NULL,
	`gateway` text NOT NULL,
	`kind` text NOT NULL,
	`outcome` text NOT NULL,
	`from_host` text,
	`to_host` text,
	`epoch_from` integer NOT NULL,
	`epoch_to` integer,
	`attempts` integer NOT NULL,
	`decided_at_ms` integer NOT NULL,
	`detect_ms` real,
	`agree_ms` real,
	`demote_ms` real,
	`claim_ms` real,
	`lease_ms` real,
	`catchup_ms` real,
	`start_ms` real,
	`route_ms` real,
	`wait_ms` real,
	`retry_ms` real,
	`gap_ms` real,
	`origin` text NOT NULL,
	`seq` integer NOT NULL,
	`hlc` text NOT NULL,
	`deleted` integer DEFAULT false NOT NULL
);
--> statement-breakpoint
CREATE INDEX `t_failovers_by_time` ON `t_failovers` (`decided_at_ms`);--> statement-breakpoint
CREATE TABLE `t_gateways` (
	`id` text PRIMARY KEY NOT NULL,
	`admin_url` text NOT NULL,
	`started_at_ms` integer NOT NULL,
	`origin` text NOT NULL,
	`seq` integer NOT NULL,
	`hlc` text NOT NULL,
	`deleted` integer DEFAULT false NOT NULL
);
--> statement-breakpoint
CREATE TABLE `t_health` (
	`gateway` text NOT NULL,
	`service` text NOT NULL,
	`host` text NOT NULL,
	`health` text NOT NULL,
	`cause` text,
	`role` text,
	`instance` text,
	`epoch` integer,
	`position` integer,
	`changed_at_ms` integer NOT NULL,
	`origin` text NOT NULL,
	`seq` integer NOT NULL,
	`hlc` text NOT NULL,
	`deleted` integer DEFAULT false NOT NULL,
	PRIMARY KEY(`gateway`, `service`, `host`)
);
--> statement-breakpoint
CREATE TABLE `t_hosts` (
	`service` text NOT NULL,
	`id` text NOT NULL,
	`control_url` text NOT NULL,
	`priority` integer,
	`nofailover` integer,
	`source` text NOT NULL,
	`origin` text NOT NULL,
	`seq` integer NOT NULL,
	`hlc` text NOT NULL,
	`deleted` integer DEFAULT false NOT NULL,
	PRIMARY KEY(`service`, `id`)
);
--> statement-breakpoint
CREATE TABLE `t_services` (
	`name` text PRIMARY KEY NOT NULL,
	`match_host` text,
	`match_path` text,
	`paused` integer DEFAULT false NOT NULL,
	`origin` text NOT NULL,
	`seq` integer NOT NULL,
	`hlc` text NOT NULL,
	`deleted` integer DEFAULT false NOT NULL
);
