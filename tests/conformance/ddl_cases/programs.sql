-- Views, materialized views, functions, procedures, triggers, rules and policies.
--- change
CREATE TABLE orders (id int PRIMARY KEY, total numeric, state text DEFAULT 'new');
INSERT INTO orders SELECT i, i * 1.5 FROM generate_series(1, 50) i;
CREATE VIEW big AS SELECT id, total FROM orders WHERE total > 30;
--- change
CREATE OR REPLACE VIEW big WITH (security_barrier) AS SELECT id, total, state FROM orders WHERE total > 40;
COMMENT ON VIEW big IS 'large ones';
ALTER VIEW big RENAME COLUMN state TO condition;
--- change
CREATE MATERIALIZED VIEW sums AS SELECT state, sum(total) AS total FROM orders GROUP BY state;
CREATE UNIQUE INDEX ON sums (state);
--- change
UPDATE orders SET state = 'paid' WHERE id % 2 = 0;
REFRESH MATERIALIZED VIEW sums;
--- change
ALTER VIEW big RENAME TO larger;
ALTER TABLE orders RENAME COLUMN total TO amount;
--- change
CREATE FUNCTION tax(value numeric, rate numeric DEFAULT 0.2) RETURNS numeric
  LANGUAGE sql IMMUTABLE AS 'SELECT value * rate';
CREATE FUNCTION tax(value int) RETURNS int LANGUAGE sql AS 'SELECT value / 5';
CREATE PROCEDURE nothing(INOUT x int) LANGUAGE plpgsql AS $$ BEGIN x := x + 1; END; $$;
--- change
CREATE OR REPLACE FUNCTION tax(value numeric, rate numeric DEFAULT 0.2) RETURNS numeric
  LANGUAGE sql IMMUTABLE STRICT AS 'SELECT round(value * rate, 2)';
ALTER FUNCTION tax(int) RENAME TO small_tax;
COMMENT ON FUNCTION small_tax(int) IS 'a; b';
ALTER TABLE orders ADD COLUMN tax numeric GENERATED ALWAYS AS (tax(amount, 0.1)) STORED;
INSERT INTO orders (id, amount) VALUES (100, 10);
--- change
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN NEW.state := NEW.state || '*'; RETURN NEW; END $$;
CREATE TRIGGER stamped BEFORE INSERT ON orders FOR EACH ROW WHEN (NEW.id > 0) EXECUTE FUNCTION stamp();
INSERT INTO orders (id, amount) VALUES (101, 1);
--- change
ALTER TABLE orders DISABLE TRIGGER stamped;
ALTER TRIGGER stamped ON orders RENAME TO "Stamped";
INSERT INTO orders (id, amount) VALUES (102, 1);
--- change
DROP TRIGGER "Stamped" ON orders;
CREATE RULE keep AS ON DELETE TO orders WHERE old.id = 1 DO INSTEAD NOTHING;
DELETE FROM orders WHERE id < 3;
--- change
ALTER RULE keep ON orders RENAME TO "keep AS it is";
--- change
DROP RULE "keep AS it is" ON orders;
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON orders FOR SELECT TO PUBLIC USING (state <> 'secret');
ALTER POLICY mine ON orders USING (state <> 'hidden');
--- change
ALTER POLICY mine ON orders RENAME TO yours;
ALTER TABLE orders FORCE ROW LEVEL SECURITY;
--- change
DROP POLICY yours ON orders;
ALTER TABLE orders NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY;
DROP VIEW larger;
DROP MATERIALIZED VIEW sums;
DROP FUNCTION small_tax(int);
DROP PROCEDURE nothing(int);
--- change
CREATE AGGREGATE total_of(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
--- change
CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq);
--- change
DROP AGGREGATE total_of(int);
--- change
CREATE VIEW v1 AS SELECT id FROM orders;
CREATE VIEW v2 AS SELECT id FROM v1;
--- change
DROP VIEW v1 CASCADE;
