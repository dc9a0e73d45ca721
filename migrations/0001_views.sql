-- The stable, documented views (docs/OPERATIONS.md). Times ending in _at are UTC text; durations are milliseconds.
CREATE VIEW services AS
SELECT name, match_host, match_path, paused, origin FROM t_services WHERE deleted = 0;
--> statement-breakpoint
CREATE VIEW gateways AS
SELECT id, admin_url, strftime('%Y-%m-%dT%H:%M:%fZ', started_at_ms / 1000.0, 'unixepoch') AS started_at
FROM t_gateways WHERE deleted = 0;
--> statement-breakpoint
CREATE VIEW epochs AS
SELECT service, epoch, host, data_url, strftime('%Y-%m-%dT%H:%M:%fZ', first_seen_at_ms / 1000.0, 'unixepoch') AS first_seen_at
FROM t_epochs WHERE deleted = 0;
--> statement-breakpoint
CREATE VIEW health AS
SELECT gateway, service, host, health, cause, role, instance, epoch, position,
       strftime('%Y-%m-%dT%H:%M:%fZ', changed_at_ms / 1000.0, 'unixepoch') AS changed_at
FROM t_health WHERE deleted = 0;
--> statement-breakpoint
CREATE VIEW hosts AS
SELECT h.service, h.id, h.control_url, h.priority, h.nofailover, h.source,
       (SELECT s.role FROM t_health s WHERE s.service = h.service AND s.host = h.id AND s.deleted = 0
         ORDER BY s.changed_at_ms DESC LIMIT 1) AS role,
       (SELECT count(*) FROM t_health s WHERE s.service = h.service AND s.host = h.id AND s.deleted = 0 AND s.health = 'up') AS gateways_seeing_up,
       (SELECT count(*) FROM t_health s WHERE s.service = h.service AND s.host = h.id AND s.deleted = 0 AND s.health = 'down') AS gateways_seeing_down
FROM t_hosts h WHERE h.deleted = 0;
--> statement-breakpoint
CREATE VIEW failovers AS
SELECT id, service, gateway, kind, outcome, from_host, to_host, epoch_from, epoch_to, attempts,
       strftime('%Y-%m-%dT%H:%M:%fZ', decided_at_ms / 1000.0, 'unixepoch') AS decided_at,
       detect_ms, agree_ms, demote_ms, claim_ms, lease_ms, catchup_ms, start_ms, route_ms, wait_ms, retry_ms, gap_ms
FROM t_failovers WHERE deleted = 0;
--> statement-breakpoint
CREATE VIEW events AS
SELECT id, strftime('%Y-%m-%dT%H:%M:%fZ', at_ms / 1000.0, 'unixepoch') AS at, gateway, service, host, level, what, detail
FROM t_events WHERE deleted = 0;
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
FROM t_services s WHERE s.deleted = 0;
