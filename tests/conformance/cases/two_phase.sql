-- Two-phase commit: prepared transactions that are committed or rolled back later, with other
-- transactions of the same rows between; several at once, with subtransactions, a message, a TRUNCATE.
--- schema
CREATE TABLE accounts (id int PRIMARY KEY, v int, note text);
CREATE TABLE emptied_in_two (id int PRIMARY KEY);
--- rows
INSERT INTO accounts SELECT i, 0, 'n' || i FROM generate_series(1, 100) i;
INSERT INTO emptied_in_two SELECT generate_series(1, 50);
BEGIN; UPDATE accounts SET v = 1 WHERE id <= 10; PREPARE TRANSACTION 'case early';
--- rows
COMMIT PREPARED 'case early';
--- change
BEGIN; UPDATE accounts SET v = v + 10, note = 'prepared' WHERE id <= 20;
SAVEPOINT a; DELETE FROM accounts WHERE id > 90; ROLLBACK TO a;
SAVEPOINT b; INSERT INTO accounts VALUES (200, 1, 'of b'); RELEASE b;
PREPARE TRANSACTION 'case ''committed''';
--- change
UPDATE accounts SET v = v + 100 WHERE id > 20; INSERT INTO accounts VALUES (201, 2, 'between');
--- change
BEGIN; DELETE FROM accounts WHERE id BETWEEN 30 AND 40; UPDATE accounts SET id = id + 1000 WHERE id = 50;
SELECT pg_logical_emit_message(true, 'app', 'never'); PREPARE TRANSACTION 'case rolled back';
--- change
BEGIN; TRUNCATE emptied_in_two; INSERT INTO emptied_in_two VALUES (1000); PREPARE TRANSACTION 'case truncated';
--- change
UPDATE accounts SET note = 'while two are open' WHERE id > 60;
--- change
COMMIT PREPARED 'case ''committed''';
--- change
UPDATE accounts SET v = v + 1000 WHERE id IN (5, 200);
--- change
ROLLBACK PREPARED 'case rolled back';
--- change
UPDATE accounts SET v = -v WHERE id BETWEEN 30 AND 50;
--- change
COMMIT PREPARED 'case truncated';
--- change
BEGIN; PREPARE TRANSACTION 'case empty';
--- change
COMMIT PREPARED 'case empty';
