-- bytea with every byte, bit and varbit, uuid, inet, cidr, macaddr, macaddr8.
--- schema
CREATE TABLE binaries (id int PRIMARY KEY, y bytea, b bit(11), vb varbit, u uuid, i inet, c cidr,
  m macaddr, m8 macaddr8);
--- rows
INSERT INTO binaries (id) VALUES (3);
INSERT INTO binaries SELECT 1, string_agg(set_byte('\x00', 0, i), '' ORDER BY i), B'10101010101', B'', 
  '00000000-0000-0000-0000-000000000000', '192.168.1.1/24', '10.0.0.0/8', '08:00:2b:01:02:03',
  '08:00:2b:01:02:03:04:05' FROM generate_series(0, 255) i;
INSERT INTO binaries VALUES (2, '', B'00000000000', B'1', 'ffffffff-ffff-ffff-ffff-ffffffffffff',
  '::1', '2001:db8::/32', 'ff:ff:ff:ff:ff:ff', 'ff:ff:ff:ff:ff:ff:ff:ff'),
  (4, decode(repeat('00ff', 100000), 'hex'), B'11111111111', repeat('10', 500)::varbit, NULL,
  '2001:db8::1/64', '0.0.0.0/0', NULL, NULL);
--- change
UPDATE binaries SET y = y || '\x00', vb = vb || B'0', i = i + 1 WHERE id <= 2;
UPDATE binaries SET u = '12345678-1234-1234-1234-123456789abc' WHERE id = 4;
