-- Sequences: made, changed, owned, dropped.
--- change
CREATE SEQUENCE plain;
CREATE SEQUENCE small AS smallint INCREMENT BY -2 MINVALUE -100 MAXVALUE 100 START 50 CACHE 5 CYCLE;
CREATE TABLE t (id int PRIMARY KEY DEFAULT nextval('plain'), other int);
INSERT INTO t (other) VALUES (1), (2);
--- change
ALTER SEQUENCE plain INCREMENT BY 10 MAXVALUE 1000000;
ALTER SEQUENCE plain OWNED BY t.id;
ALTER SEQUENCE small RENAME TO tiny;
INSERT INTO t (other) VALUES (3);
--- change
CREATE TABLE s (id smallserial PRIMARY KEY, big bigserial, v text);
INSERT INTO s (v) VALUES ('a'), ('b');
--- change
ALTER TABLE s RENAME TO renamed;
ALTER SEQUENCE s_big_seq RENAME TO big_numbers;
ALTER TABLE renamed ALTER COLUMN id DROP DEFAULT;
DROP SEQUENCE s_id_seq;
INSERT INTO renamed (id, v) VALUES (77, 'c');
--- change
DROP TABLE t;
DROP SEQUENCE tiny;
ALTER TABLE renamed DROP COLUMN big;
-- Earlier than its first use: the log may tell of a commit a moment before other sessions see it.
CREATE ROLE leaving_with_sequences;
--- change
CREATE TABLE counted_out (id serial PRIMARY KEY, n bigserial);
ALTER TABLE counted_out OWNER TO leaving_with_sequences;
--- change
DROP OWNED BY leaving_with_sequences;
--- change
DROP ROLE leaving_with_sequences;
