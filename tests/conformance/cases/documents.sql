-- json byte for byte (duplicate keys, blanks, large numbers), jsonb with its precise numbers, JSON
-- null beside SQL NULL, jsonpath, xml, tsvector, tsquery.
--- needs: text
--- schema
CREATE TABLE documents (id int PRIMARY KEY, j json, b jsonb, p jsonpath, x xml, v tsvector, q tsquery);
--- rows
INSERT INTO documents (id) VALUES (3);
INSERT INTO documents VALUES
  (1, '{"a" : 1,   "a":2, "big": 123456789012345678901234567890.10}',
   '{"a": 1, "big": 123456789012345678901234567890.10, "s": "\u00e9\n\\"}', '$.a[*] ? (@ > 1)',
   '<a href="x">é</a>', 'a:1A fat:2,4B cat:3', 'fat & (rat | !cat:AB)'),
  (2, 'null', 'null', 'strict $', '', '', ''),
  (4, '[]', '[1e40, -0.0, "", {}, []]', 'lax $."a b"', '<?xml version="1.0"?><r/>', '''it''''s'':1', 'a <-> b');
--- change
UPDATE documents SET b = b || '{"new": [null]}', j = '"text"' WHERE id = 1;
UPDATE documents SET x = '<b/>', v = to_tsvector('simple', 'one two') WHERE id = 3;
