-- What this gateway's rows claim to know of each run of each gateway (src/core/version-vector.ts).
CREATE TABLE `t_vector` (
	`origin` text PRIMARY KEY NOT NULL,
	`seq` integer NOT NULL
);
