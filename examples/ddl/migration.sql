-- A migration in 20 steps. Each line that begins with "-- STEP" begins one.
-- STEP a column with a constant default: no rewrite on either side
ALTER TABLE orders ADD COLUMN currency char(3) NOT NULL DEFAULT 'EUR';
-- STEP a column with a volatile default: the target gets the source's values
ALTER TABLE orders ADD COLUMN token uuid NOT NULL DEFAULT gen_random_uuid();
-- STEP a column whose default is the time of the command
ALTER TABLE orders ADD COLUMN created timestamptz NOT NULL DEFAULT now();
-- STEP text becomes a number, with an expression of its own
ALTER TABLE orders ALTER COLUMN total TYPE numeric(10, 2) USING nullif(total, '')::numeric;
-- STEP int becomes bigint, under a foreign key to come
ALTER TABLE orders ALTER COLUMN customer TYPE bigint;
-- STEP the foreign key
ALTER TABLE orders ADD CONSTRAINT orders_customer FOREIGN KEY (customer) REFERENCES customers NOT VALID;
-- STEP and its validation
ALTER TABLE orders VALIDATE CONSTRAINT orders_customer;
-- STEP an index, built without blocking the source
CREATE INDEX CONCURRENTLY orders_by_customer ON orders (customer, created DESC);
-- STEP an enum, and a column of it
CREATE TYPE order_state AS ENUM ('new', 'paid');
ALTER TABLE orders ADD COLUMN state order_state NOT NULL DEFAULT 'new';
-- STEP a new label of the enum
ALTER TYPE order_state ADD VALUE 'sent' AFTER 'paid';
-- STEP rows use it
UPDATE orders SET state = 'sent' WHERE id % 10 = 0;
-- STEP a table from a query
CREATE TABLE customer_totals AS SELECT customer, sum(total) AS total, clock_timestamp() AS at FROM orders GROUP BY customer;
-- STEP it gets a key
ALTER TABLE customer_totals ADD PRIMARY KEY (customer);
-- STEP a partitioned table, filled in the transaction that makes it
BEGIN;
CREATE TABLE events (id bigint, day date, what text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE events_rest PARTITION OF events DEFAULT;
INSERT INTO events SELECT i, date '2025-12-01' + i % 60, 'e' || i FROM generate_series(1, 1000) i;
COMMIT;
-- STEP one table becomes two, in a function
CREATE FUNCTION split_names() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  ALTER TABLE customers ADD COLUMN first text, ADD COLUMN number int;
  UPDATE customers SET first = split_part(name, ' ', 1), number = split_part(name, ' ', 2)::int;
  CREATE TABLE customer_history AS SELECT * FROM customers WHERE id <= 100;
END $$;
SELECT split_names();
-- STEP two tables change places
BEGIN;
ALTER TABLE customer_totals RENAME TO old_totals;
CREATE TABLE customer_totals (customer bigint PRIMARY KEY, orders int DEFAULT 0);
INSERT INTO customer_totals SELECT customer, count(*) FROM orders WHERE customer IS NOT NULL GROUP BY 1;
COMMIT;
-- STEP a table moves to another schema
CREATE SCHEMA sales;
ALTER TABLE old_totals SET SCHEMA sales;
-- STEP a view and a trigger
CREATE VIEW large_orders AS SELECT id, total FROM orders WHERE total > 400;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN NEW.currency := upper(NEW.currency); RETURN NEW; END $$;
CREATE TRIGGER orders_note BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION note();
-- STEP a change that is taken back
BEGIN;
DROP TABLE customer_history;
ALTER TABLE orders DROP COLUMN token;
ROLLBACK;
-- STEP what is not needed any more goes
DROP FUNCTION split_names();
ALTER TABLE customers DROP COLUMN number;
DROP TABLE sales.old_totals;
