-- Open challenges of certificate authorities, which may ask any gateway (src/gateway/acme/certificate-orders.ts).
CREATE TABLE `t_challenges` (
	`token` text PRIMARY KEY NOT NULL,
	`kind` text NOT NULL,
	`domain` text NOT NULL,
	`key_authorization` text NOT NULL,
	`gateway` text NOT NULL,
	`at_ms` integer NOT NULL,
	`origin` text NOT NULL,
	`seq` integer NOT NULL,
	`hlc` text NOT NULL,
	`deleted` integer DEFAULT false NOT NULL
);
--> statement-breakpoint
DELETE FROM `t_vector`;
