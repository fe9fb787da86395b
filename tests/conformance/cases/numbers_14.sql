-- Infinite numeric values, numeric with a negative scale, xid8.
--- needs: server 15
--- schema
CREATE TABLE numbers_14 (id int PRIMARY KEY, n numeric, s numeric(5, -2), x xid8);
--- rows
INSERT INTO numbers_14 VALUES (1, 'Infinity', 1234567, '18446744073709551615'),
  (2, '-Infinity', -50, '0'), (3, NULL, NULL, NULL);
--- change
UPDATE numbers_14 SET n = -n, s = s + 100, x = '9999999999';
