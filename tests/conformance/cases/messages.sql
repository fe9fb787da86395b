-- Messages that an application writes into the log: transactional or not, empty, binary, large, with
-- prefixes that look like ours, rolled back, alone in their transaction, between rows.
--- schema
CREATE TABLE noted (id int PRIMARY KEY, v text);
--- rows
SELECT pg_logical_emit_message(true, 'app', 'before'); INSERT INTO noted SELECT i, 'v' FROM generate_series(1, 20) i;
--- change
SELECT pg_logical_emit_message(true, 'app', 'alone');
--- change
SELECT pg_logical_emit_message(false, 'app', 'alone, not transactional');
--- change
INSERT INTO noted VALUES (100, 'first'); SELECT pg_logical_emit_message(true, '', ''), pg_logical_emit_message(false, '', '');
UPDATE noted SET v = 'second' WHERE id <= 5; SELECT pg_logical_emit_message(true, 'app', '\x00ff0a'::bytea);
DELETE FROM noted WHERE id = 6; SELECT pg_logical_emit_message(false, 'app', '\x00ff0a'::bytea);
INSERT INTO noted SELECT i, 'after' FROM generate_series(101, 120) i;
SELECT pg_logical_emit_message(i % 2 = 0, 'many', repeat('m', i)) FROM generate_series(1, 500) i;
--- change
SELECT pg_logical_emit_message(true, p, c), pg_logical_emit_message(false, p, c)
  FROM unnest(ARRAY['pgflow', 'pgflow.', 'pgflow.ddl', 'pgflow.rows', 'pgflow.before', 'pgflow.after', 'pgflow.end']) p,
  unnest(ARRAY['', 'flush', '{}', '{"secret": ""}', 'null', '\x']) c;
INSERT INTO noted VALUES (200, 'behind them');
--- change
INSERT INTO noted VALUES (300, 'large'); SELECT pg_logical_emit_message(true, 'app', repeat('large ', 2000000));
SELECT pg_logical_emit_message(false, 'app', repeat('large ', 2000000)); UPDATE noted SET v = 'small' WHERE id = 300;
--- change
BEGIN; SELECT pg_logical_emit_message(true, 'app', 'gone'), pg_logical_emit_message(false, 'app', 'stays');
UPDATE noted SET v = 'never'; ROLLBACK;
--- change
BEGIN; UPDATE noted SET v = 'kept' WHERE id = 10; SAVEPOINT a; SELECT pg_logical_emit_message(true, 'app', 'gone');
UPDATE noted SET v = 'never'; ROLLBACK TO a; UPDATE noted SET v = 'kept too' WHERE id = 11; COMMIT;
