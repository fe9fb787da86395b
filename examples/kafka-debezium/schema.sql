CREATE TABLE orders (
  id bigint PRIMARY KEY,
  customer text NOT NULL,
  total numeric(10, 2) NOT NULL,
  ordered timestamptz NOT NULL DEFAULT '2026-01-31 10:00:00.123456+00'
);
INSERT INTO orders SELECT i, 'customer ' || i % 10, (i * 7 % 1000) / 10.0
FROM generate_series(1, 1000) i;
