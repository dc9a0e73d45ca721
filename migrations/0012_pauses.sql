-- Why automation is paused, and until when: columns of services and of its view. A pause whose end has passed is none,
-- in the views too (src/gateway/service/timed-orders.ts).
ALTER TABLE `t_services` ADD `pause_reason` text;
--> statement-breakpoint
ALTER TABLE `t_services` ADD `paused_at_ms` integer;
--> statement-breakpoint
ALTER TABLE `t_services` ADD `paused_until_ms` integer;
--> statement-breakpoint
DROP VIEW services;
--> statement-breakpoint
CREATE VIEW services AS
SELECT name, match_host, match_path, is_paused AS paused,
       iif(is_paused, pause_reason, NULL) AS pause_reason,
       iif(is_paused, strftime('%Y-%m-%dT%H:%M:%fZ', paused_until_ms / 1000.0, 'unixepoch'), NULL) AS paused_until,
       origin
FROM (SELECT *, paused AND (paused_until_ms IS NULL OR paused_until_ms > unixepoch('subsec') * 1000) AS is_paused
      FROM t_services WHERE deleted = 0);
--> statement-breakpoint
DROP VIEW cluster;
--> statement-breakpoint
CREATE VIEW cluster AS
SELECT s.name AS service,
       (SELECT e.host FROM t_epochs e WHERE e.service = s.name AND e.deleted = 0 ORDER BY e.epoch DESC LIMIT 1) AS "primary",
       (SELECT max(e.epoch) FROM t_epochs e WHERE e.service = s.name AND e.deleted = 0) AS epoch,
       (SELECT count(*) FROM t_hosts h WHERE h.service = s.name AND h.deleted = 0) AS hosts,
       (SELECT count(DISTINCT x.host) FROM t_health x WHERE x.service = s.name AND x.deleted = 0 AND x.health = 'up') AS hosts_up,
       (SELECT count(*) FROM t_gateways g WHERE g.deleted = 0) AS gateways,
       s.paused,
       (SELECT count(*) FROM t_failovers f WHERE f.service = s.name AND f.deleted = 0 AND f.outcome = 'done') AS failovers
FROM services s;
--> statement-breakpoint
DELETE FROM `t_vector`;
