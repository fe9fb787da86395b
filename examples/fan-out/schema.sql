CREATE TABLE orders (
  id bigint PRIMARY KEY,
  customer text NOT NULL,
  status text NOT NULL DEFAULT 'new',
  total numeric(10, 2) NOT NULL
);
ALTER TABLE orders REPLICA IDENTITY FULL;
INSERT INTO orders
SELECT i, 'customer ' || i % 10, 'new', (i * 7 % 1000) / 10.0 FROM generate_series(1, 1000) i;
