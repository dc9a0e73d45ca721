-- A gateway of an earlier version has claimed rows of tables that it did not know and was not sent (src/gateway/peers/
-- known-tables.ts): it claims nothing, and so gets them from any peer. So does each later migration that adds a shared
-- table or a column of one.
DELETE FROM `t_vector`;
