-- Types with input and output functions of their own, from the shell to the end.
--- change
CREATE TYPE shell;
--- change
CREATE TYPE number;
CREATE FUNCTION number_in(cstring) RETURNS number LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
CREATE FUNCTION number_out(number) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
CREATE TYPE number (INPUT = number_in, OUTPUT = number_out, LIKE = int4);
--- change
CREATE FUNCTION number_send(number) RETURNS bytea LANGUAGE internal IMMUTABLE STRICT AS 'int4send';
CREATE FUNCTION number_recv(internal) RETURNS number LANGUAGE internal IMMUTABLE STRICT AS 'int4recv';
ALTER TYPE number SET (SEND = number_send, RECEIVE = number_recv);
CREATE CAST (number AS int) WITHOUT FUNCTION AS ASSIGNMENT;
CREATE TABLE numbers (id int PRIMARY KEY, n number);
INSERT INTO numbers VALUES (1, '5');
--- change
COMMENT ON TYPE number IS 'whole';
GRANT USAGE ON TYPE number TO pg_monitor;
INSERT INTO numbers VALUES (2, '6');
--- change
ALTER TYPE number RENAME TO whole;
DROP CAST (whole AS int);
--- change
CREATE FUNCTION early(cstring) RETURNS later LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
--- change
DROP TYPE later CASCADE;
DROP TYPE shell;
--- change
DROP TYPE whole CASCADE;
