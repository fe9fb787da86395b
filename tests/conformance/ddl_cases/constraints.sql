-- Keys, constraints, indexes, statistics and the replica identity, with rows between them.
--- change
CREATE TABLE team (id int PRIMARY KEY, name text);
CREATE TABLE member (id int PRIMARY KEY, team int REFERENCES team ON DELETE CASCADE, rank int,
  CHECK (rank > 0), UNIQUE (team, rank));
INSERT INTO team VALUES (1, 'one'), (2, 'two');
INSERT INTO member VALUES (1, 1, 1), (2, 1, 2), (3, 2, 1);
--- change
CREATE INDEX ON member (rank);
CREATE UNIQUE INDEX team_name ON team (lower(name)) WHERE name IS NOT NULL;
CREATE INDEX member_odd ON member USING hash (team);
--- change
CREATE INDEX CONCURRENTLY member_later ON member (rank DESC) INCLUDE (team);
--- change
ALTER INDEX member_later RENAME TO "Member Later";
DROP INDEX member_odd;
ALTER INDEX "Member Later" SET (fillfactor = 70);
--- change
DROP INDEX CONCURRENTLY "Member Later";
--- change
DELETE FROM team WHERE id = 1;
--- change
ALTER TABLE member DROP CONSTRAINT member_rank_check, ADD CONSTRAINT rank_small CHECK (rank < 100) NOT VALID;
INSERT INTO member VALUES (10, 2, -5);
--- change
ALTER TABLE member VALIDATE CONSTRAINT rank_small;
ALTER TABLE member RENAME CONSTRAINT rank_small TO "rank is small";
--- change
ALTER TABLE member DROP CONSTRAINT member_pkey;
ALTER TABLE member REPLICA IDENTITY FULL;
UPDATE member SET rank = 50 WHERE id = 10;
--- change
CREATE UNIQUE INDEX member_new ON member (id);
ALTER TABLE member ADD CONSTRAINT member_key PRIMARY KEY USING INDEX member_new;
ALTER TABLE member REPLICA IDENTITY DEFAULT;
UPDATE member SET rank = 51 WHERE id = 10;
--- change
CREATE TABLE keyed (a int NOT NULL, b int NOT NULL, v text);
CREATE UNIQUE INDEX keyed_b ON keyed (b);
ALTER TABLE keyed REPLICA IDENTITY USING INDEX keyed_b;
INSERT INTO keyed VALUES (1, 1, 'x'), (1, 2, 'y');
UPDATE keyed SET v = 'z' WHERE b = 2;
--- change
ALTER TABLE keyed REPLICA IDENTITY FULL;
DELETE FROM keyed WHERE b = 1;
--- change
ALTER TABLE keyed ADD UNIQUE (a) DEFERRABLE INITIALLY DEFERRED;
CREATE EXTENSION btree_gist;
CREATE TABLE booking (room int, during tsrange, EXCLUDE USING gist (room WITH =, during WITH &&));
INSERT INTO booking VALUES (1, '[2026-01-01, 2026-01-02)');
--- change
ALTER TABLE member ALTER CONSTRAINT member_team_fkey DEFERRABLE INITIALLY DEFERRED;
CREATE STATISTICS member_stats (dependencies) ON team, rank FROM member;
--- change
DROP STATISTICS member_stats;
ALTER TABLE member DROP CONSTRAINT member_team_fkey;
DROP TABLE team;
INSERT INTO member VALUES (99, 12345, 3);
--- change
CREATE TABLE indexed (id int PRIMARY KEY, v int);
CREATE UNIQUE INDEX indexed_v ON indexed (v);
--- change
REINDEX INDEX CONCURRENTLY indexed_v;
--- change
DROP INDEX indexed_v;
INSERT INTO indexed VALUES (1, 1), (2, 1);
--- change
BEGIN;
CREATE TABLE refers (a int REFERENCES indexed DEFERRABLE INITIALLY DEFERRED);
INSERT INTO refers VALUES (1);
COMMIT;
UPDATE refers SET a = 2;
--- change
CREATE TABLE lenient (id int PRIMARY KEY, v int, w text);
INSERT INTO lenient VALUES (1, -1, 'x'), (2, 5, 'yy');
--- change
ALTER TABLE lenient ADD CONSTRAINT positive CHECK (v > 0) NOT VALID;
COMMENT ON CONSTRAINT positive ON lenient IS 'from now on';
--- change
ALTER TABLE lenient ALTER COLUMN w TYPE int USING length(w);
INSERT INTO lenient VALUES (3, 4, 2);
--- change
ALTER TABLE lenient ADD COLUMN r double precision DEFAULT random();
--- change
UPDATE lenient SET v = 1 WHERE v < 0;
ALTER TABLE lenient VALIDATE CONSTRAINT positive, ALTER COLUMN w TYPE text USING w || 'z';
