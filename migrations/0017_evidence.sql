-- Why a failover went as it did, kept with it: candidates and what gateways saw as columns of failovers, what was
-- expected by phase as a view; and what it meant for requests, by gateway.
ALTER TABLE `t_failovers` ADD `candidates` text;
--> statement-breakpoint
ALTER TABLE `t_failovers` ADD `evidence` text;
--> statement-breakpoint
CREATE TABLE `t_failover_impacts` (
	`service` text NOT NULL,
	`epoch_from` integer NOT NULL,
	`gateway` text NOT NULL,
	`at_ms` integer NOT NULL,
	`held` integer NOT NULL,
	`replayed` integer NOT NULL,
	`unknown` integer NOT NULL,
	`failed` integer NOT NULL,
	`origin` text NOT NULL,
	`seq` integer NOT NULL,
	`hlc` text NOT NULL,
	`deleted` integer DEFAULT false NOT NULL,
	PRIMARY KEY(`service`, `epoch_from`, `gateway`)
);
--> statement-breakpoint
CREATE VIEW failover_impacts AS
SELECT service, epoch_from, gateway, strftime('%Y-%m-%dT%H:%M:%fZ', at_ms / 1000.0, 'unixepoch') AS at,
       held, replayed, unknown, failed
FROM t_failover_impacts WHERE deleted = 0;
--> statement-breakpoint
DROP VIEW failovers;
--> statement-breakpoint
CREATE VIEW failovers AS
SELECT id, service, gateway, kind, outcome, from_host, to_host, epoch_from, epoch_to, attempts,
       strftime('%Y-%m-%dT%H:%M:%fZ', decided_at_ms / 1000.0, 'unixepoch') AS decided_at,
       detect_ms, agree_ms, demote_ms, claim_ms, lease_ms, catchup_ms, start_ms, route_ms, wait_ms, retry_ms, gap_ms, cause,
       gap_start_ms, predicted_ms,
       (SELECT sum(i.held) FROM failover_impacts i WHERE i.service = f.service AND i.epoch_from = f.epoch_from) AS held,
       (SELECT sum(i.replayed) FROM failover_impacts i WHERE i.service = f.service AND i.epoch_from = f.epoch_from) AS replayed,
       (SELECT sum(i.unknown) FROM failover_impacts i WHERE i.service = f.service AND i.epoch_from = f.epoch_from) AS unknown,
       (SELECT sum(i.failed) FROM failover_impacts i WHERE i.service = f.service AND i.epoch_from = f.epoch_from) AS failed
FROM t_failovers f WHERE deleted = 0;
--> statement-breakpoint
CREATE VIEW failover_candidates AS
SELECT f.id AS failover, f.service, s.value ->> 'host' AS host, s.value ->> 'rank' AS rank, s.value ->> 'why' AS why
FROM t_failovers f, json_each(iif(json_valid(f.candidates), f.candidates, '[]')) s WHERE f.deleted = 0;
--> statement-breakpoint
CREATE VIEW failover_evidence AS
SELECT f.id AS failover, f.service, s.value ->> 'gateway' AS gateway, s.value ->> 'sees' AS sees,
       s.value ->> 'ageMs' AS age_ms, s.value ->> 'cause' AS cause
FROM t_failovers f, json_each(iif(json_valid(f.evidence), f.evidence, '[]')) s WHERE f.deleted = 0;
--> statement-breakpoint
CREATE VIEW failover_expectations AS
SELECT f.id AS failover, f.service, s.value ->> 'phase' AS phase, s.value ->> 'startMs' AS start_ms,
       s.value ->> 'ms' AS ms, s.value ->> 'source' AS source
FROM t_failovers f, json_each(iif(json_valid(f.prediction), f.prediction, '[]')) s WHERE f.deleted = 0;
--> statement-breakpoint
DELETE FROM `t_vector`;
