-- Write-ahead logs that a reader keeps from starting over: columns of health, and of its view.
ALTER TABLE `t_health` ADD `long_logs` text;
--> statement-breakpoint
ALTER TABLE `t_health` ADD `long_logs_since_ms` integer;
--> statement-breakpoint
DROP VIEW health;
--> statement-breakpoint
CREATE VIEW health AS
SELECT gateway, service, host, health, cause, role, instance, epoch, position,
       strftime('%Y-%m-%dT%H:%M:%fZ', changed_at_ms / 1000.0, 'unixepoch') AS changed_at,
       application, impairments, vault_error, suspects, retry_reason,
       strftime('%Y-%m-%dT%H:%M:%fZ', retry_at_ms / 1000.0, 'unixepoch') AS retry_at,
       long_logs,
       strftime('%Y-%m-%dT%H:%M:%fZ', long_logs_since_ms / 1000.0, 'unixepoch') AS long_logs_since
FROM t_health WHERE deleted = 0;
