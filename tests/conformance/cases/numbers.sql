-- bool, the limits of int2, int4 and int8, oid, xid, float4 and float8 (both zeros, NaN, infinities,
-- denormals), numeric with precision, many digits and NaN, money.
--- schema
CREATE TABLE numbers (
  id int PRIMARY KEY, b bool, i2 int2, i4 int4, i8 int8, o oid, x xid, f4 float4, f8 float8,
  n numeric, np numeric(20, 5), m money);
--- rows
INSERT INTO numbers VALUES
  (1, true, 32767, 2147483647, 9223372036854775807, 4294967295, '4294967295', '3.4028235e38',
   '1.7976931348623157e308', '1e1000', 123456789012345.12345, '92233720368547758.07'),
  (2, false, -32768, -2147483648, -9223372036854775808, 0, '0', '1.4e-45', '4.9e-324',
   '-0.00000000000000000000000000000000000000000000000001', -99999.99999, '-92233720368547758.08'),
  (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (4, true, 0, 0, 0, 1, '3', 'NaN', 'NaN', 'NaN', 'NaN', 0),
  (5, true, 1, 1, 1, 1, '3', 'Infinity', '-Infinity', 0.10, 0.1, 0.01),
  (6, true, 1, 1, 1, 1, '3', '-0', '-0', 0.100, 0, -0.01),
  (7, true, 1, 1, 1, 1, '3', 0.1, 0.1, ('9' || repeat('0', 2000) || '.' || repeat('7', 1000))::numeric, 1, 1);
--- change
UPDATE numbers SET f4 = -f4, f8 = -f8, n = -n, np = -np, m = m * -1 WHERE id IN (1, 5, 6, 7);
DELETE FROM numbers WHERE id = 2;
--- change
UPDATE numbers SET id = id + 100, n = NULL WHERE id < 5;
