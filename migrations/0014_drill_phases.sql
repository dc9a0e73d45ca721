-- What a drill was expected to take and took, by phase.
ALTER TABLE `t_drills` ADD `prediction` text;
--> statement-breakpoint
ALTER TABLE `t_drills` ADD `phases` text;
--> statement-breakpoint
CREATE VIEW drill_phases AS
SELECT d.id AS drill, d.service, d.kind, strftime('%Y-%m-%dT%H:%M:%fZ', d.started_at_ms / 1000.0, 'unixepoch') AS started_at,
       p.value ->> 'phase' AS phase, p.value ->> 'ms' AS expected_ms,
       iif(json_valid(d.phases), d.phases ->> (p.value ->> 'phase'), NULL) AS measured_ms, p.value ->> 'source' AS source
FROM t_drills d, json_each(iif(json_valid(d.prediction), d.prediction, '[]')) p WHERE d.deleted = 0;
--> statement-breakpoint
DELETE FROM `t_vector`;
