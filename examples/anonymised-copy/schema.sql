CREATE TABLE customers (
  id int PRIMARY KEY,
  email text NOT NULL UNIQUE,
  name text NOT NULL,
  phone text,
  born date,
  city text,
  iban varchar(34),
  notes text
);
CREATE TABLE orders (
  id bigint PRIMARY KEY,
  customer_id int NOT NULL REFERENCES customers (id) ON UPDATE CASCADE,
  amount numeric(10, 2) NOT NULL,
  placed_at timestamptz NOT NULL
);
CREATE TABLE payments (
  id bigint PRIMARY KEY,
  customer_id int NOT NULL REFERENCES customers (id) ON UPDATE CASCADE,
  amount numeric(10, 2) NOT NULL,
  card text NOT NULL,
  from_ip inet,
  details jsonb NOT NULL
);
-- Refers to customers by their address.
CREATE TABLE subscribers (
  email text PRIMARY KEY
);
INSERT INTO customers
SELECT i, 'customer' || i || '@shop.example', 'Customer ' || i, '+49 30 ' || 1000000 + i,
  date '1950-01-01' + i, 'Berlin', 'DE8937040044' || 1000000000 + i, 'called on day ' || i
FROM generate_series(1, 500) i;
INSERT INTO orders
SELECT i, 1 + i % 500, i, '2026-01-01' FROM generate_series(1, 5000) i;
INSERT INTO payments
SELECT i, 1 + i % 500, i, 4111111111110000 + i, '203.0.113.7', jsonb_build_object('holder', 'Customer ' || i, 'ip', '10.0.0.1', 'n', i)
FROM generate_series(1, 2000) i;
INSERT INTO subscribers
SELECT email FROM customers WHERE id % 3 = 0;
