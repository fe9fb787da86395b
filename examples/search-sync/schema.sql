CREATE TABLE products (
  id bigint PRIMARY KEY,
  name text NOT NULL,
  description text NOT NULL,
  price numeric(10, 2) NOT NULL,
  tags text[] NOT NULL DEFAULT '{}',
  attributes jsonb NOT NULL DEFAULT '{}',
  supplier_email text NOT NULL
);
INSERT INTO products
SELECT i, (ARRAY['lamp', 'chair', 'table', 'shelf'])[1 + i % 4] || ' number ' || i,
       'a fine piece of furniture', (i * 7 % 1000) / 10.0, ARRAY['home', 'style ' || i % 7],
       jsonb_build_object('colour', (ARRAY['red', 'green', 'blue'])[1 + i % 3]),
       'supplier' || i % 10 || '@example.org'
FROM generate_series(1, 1000) i;
