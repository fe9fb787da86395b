-- One visit to the shop, for pgbench: an order is placed, an older one moves on, a few are deleted.
\set customer random(1, 20000)
\set product random(1, 2000)
\set quantity random(1, 5)
\set older random(1, 100000)
\set dice random(1, 20)
BEGIN;
INSERT INTO page_views (customer_id, path) VALUES (:customer, '/products/' || :product);
WITH placed AS (
  INSERT INTO orders (customer_id, total) VALUES (:customer, :quantity * 9.99) RETURNING id
)
INSERT INTO order_items (order_id, line, product_id, quantity, price)
SELECT id, line, :product, :quantity, 9.99 FROM placed, generate_series(1, 2) line;
UPDATE products SET stock = stock - :quantity WHERE id = :product;
UPDATE orders SET status = 'shipped' WHERE id = :older;
\if :dice = 1
DELETE FROM order_items WHERE order_id = :older;
DELETE FROM orders WHERE id = :older;
\endif
\if :dice = 2
UPDATE customers SET profile = jsonb_set(coalesce(profile, '{}'), '{points}', to_jsonb(:quantity)),
                     tags = array_append(tags, 'regular')
WHERE id = :customer;
\endif
COMMIT;
