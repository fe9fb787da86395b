-- text, varchar, bpchar with its padding, "char", name: empty and NULL, newlines, backslashes, \N,
-- quotes, characters of four bytes, long values.
--- schema
CREATE TABLE texts (id int PRIMARY KEY, t text, v varchar(10), b char(8), c "char", n name);
--- rows
INSERT INTO texts VALUES
  (1, '', '', '', '', ''), (2, NULL, NULL, NULL, NULL, NULL),
  (3, E'line\nline\r\n\ttab\\N \\. \\', E'\\N', E'\\N', '\', E'a"b''c'),
  (4, 'é😀𝒳', '😀😀😀😀😀😀😀😀😀😀', 'é ', 'x', 'ünïcode'),
  (5, repeat('long ', 100000), '          ', '        ', ' ', repeat('n', 63)),
  (6, '\.', '\.', '\.', '.', '\.');
--- change
UPDATE texts SET t = t || E'\n\\N', v = left(v, 3) WHERE t IS NOT NULL;
--- change
UPDATE texts SET v = 'short' WHERE id = 5;
DELETE FROM texts WHERE t IS NULL;
