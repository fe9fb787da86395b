-- One visit; pgbench runs it over and over while the tables change.
\set customer random(1, 2000)
BEGIN;
INSERT INTO orders (customer) VALUES (:customer);
UPDATE customers SET name = name WHERE id = :customer;
DELETE FROM orders WHERE id = (SELECT min(id) FROM orders WHERE customer = :customer);
COMMIT;
