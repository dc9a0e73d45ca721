-- The copies of the vault that a primary writes, and how far the worst of them is behind: columns of health, and of its
-- view.
ALTER TABLE `t_health` ADD `vault_copies` text;
--> statement-breakpoint
ALTER TABLE `t_health` ADD `vault_copy_lag_ms` integer;
--> statement-breakpoint
ALTER TABLE `t_health` ADD `vault_copy_lag_bytes` integer;
--> statement-breakpoint
DROP VIEW health;
--> statement-breakpoint
CREATE VIEW health AS
SELECT gateway, service, host, health, cause, role, instance, epoch, position,
       strftime('%Y-%m-%dT%H:%M:%fZ', changed_at_ms / 1000.0, 'unixepoch') AS changed_at,
       application, impairments, vault_error, suspects, retry_reason,
       strftime('%Y-%m-%dT%H:%M:%fZ', retry_at_ms / 1000.0, 'unixepoch') AS retry_at,
       long_logs,
       strftime('%Y-%m-%dT%H:%M:%fZ', long_logs_since_ms / 1000.0, 'unixepoch') AS long_logs_since,
       vault_copies, vault_copy_lag_ms, vault_copy_lag_bytes
FROM t_health WHERE deleted = 0;
--> statement-breakpoint
DELETE FROM `t_vector`;
