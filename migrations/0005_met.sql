-- The other gateways that this one has met: those count for a majority (src/gateway/peers/membership.ts). What counted before this version stays counted.
CREATE TABLE `t_met` (
	`gateway` text PRIMARY KEY NOT NULL
);
--> statement-breakpoint
INSERT INTO `t_met` SELECT `id` FROM `t_gateways` WHERE `deleted` = 0;
