-- Types without a binary form: aclitem, a base type of our own, domains over them, arrays; as a key.
--- needs: text
--- both
CREATE TYPE shouted;
CREATE FUNCTION shouted_in(cstring) RETURNS shouted LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION shouted_out(shouted) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE TYPE shouted (INPUT = shouted_in, OUTPUT = shouted_out, LIKE = text);
CREATE FUNCTION shouted_eq(shouted, shouted) RETURNS bool LANGUAGE internal IMMUTABLE STRICT AS 'byteaeq';
CREATE FUNCTION shouted_lt(shouted, shouted) RETURNS bool LANGUAGE internal IMMUTABLE STRICT AS 'bytealt';
CREATE FUNCTION shouted_le(shouted, shouted) RETURNS bool LANGUAGE internal IMMUTABLE STRICT AS 'byteale';
CREATE FUNCTION shouted_gt(shouted, shouted) RETURNS bool LANGUAGE internal IMMUTABLE STRICT AS 'byteagt';
CREATE FUNCTION shouted_ge(shouted, shouted) RETURNS bool LANGUAGE internal IMMUTABLE STRICT AS 'byteage';
CREATE FUNCTION shouted_cmp(shouted, shouted) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS 'byteacmp';
CREATE OPERATOR = (LEFTARG = shouted, RIGHTARG = shouted, FUNCTION = shouted_eq, COMMUTATOR = =, MERGES);
CREATE OPERATOR < (LEFTARG = shouted, RIGHTARG = shouted, FUNCTION = shouted_lt);
CREATE OPERATOR <= (LEFTARG = shouted, RIGHTARG = shouted, FUNCTION = shouted_le);
CREATE OPERATOR > (LEFTARG = shouted, RIGHTARG = shouted, FUNCTION = shouted_gt);
CREATE OPERATOR >= (LEFTARG = shouted, RIGHTARG = shouted, FUNCTION = shouted_ge);
CREATE OPERATOR CLASS shouted_ops DEFAULT FOR TYPE shouted USING btree AS
  OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 shouted_cmp(shouted, shouted);
--- schema
CREATE DOMAIN loud AS shouted;
CREATE TABLE own_type (id int PRIMARY KEY, s shouted, a shouted[], d loud, n bytea);
CREATE TABLE own_key (s shouted PRIMARY KEY, v int);
CREATE TABLE acl (id int PRIMARY KEY, one aclitem, more aclitem[]);
CREATE TABLE own_row (s shouted, i int); ALTER TABLE own_row REPLICA IDENTITY FULL;
--- rows
INSERT INTO own_type SELECT i, repeat('AH "' || i, i * 1000)::shouted, ARRAY['a,b'::shouted, NULL, '', '{}'], '\N', '\x00ff' FROM generate_series(1, 40) i;
INSERT INTO own_type (id) VALUES (100); INSERT INTO own_key SELECT ('key ' || i)::shouted, i FROM generate_series(1, 60) i;
INSERT INTO acl VALUES (1, 'postgres=arwdDxt/postgres', '{=r/postgres,postgres=X*/postgres}'), (2, NULL, '{}');
INSERT INTO own_row SELECT ('row ' || i % 3)::shouted, i % 4 FROM generate_series(1, 30) i;
--- change
UPDATE own_type SET s = 'new', d = NULL WHERE id < 10; UPDATE own_type SET id = -id WHERE id > 30; UPDATE own_key SET v = -v WHERE v < 20;
UPDATE own_key SET s = 'renamed' WHERE v = 30; DELETE FROM own_key WHERE v > 50; UPDATE acl SET more = NULL, one = '=X/postgres' WHERE id = 1;
UPDATE own_row SET i = 10 WHERE i = 1; DELETE FROM own_row WHERE i = 2;
