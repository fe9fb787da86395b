-- Types of extensions: hstore with NULL and quotes, citext, ltree, cube, isn; seg and
-- query_int, which have no binary form; citext as a key and in whole rows.
--- needs: text, extension hstore, citext, ltree, cube, isn, seg, intarray
--- schema
CREATE TABLE extended (id int PRIMARY KEY, h hstore, c citext, l ltree, q lquery, b cube, i isbn, hs hstore[], cs citext[]);
CREATE TABLE extended_text (id int PRIMARY KEY, s seg, q query_int, ss seg[]);
CREATE TABLE extended_key (c citext PRIMARY KEY, v int);
CREATE TABLE extended_keys (l ltree, i isbn, v int, PRIMARY KEY (l, i));
CREATE TABLE extended_row (c citext, h hstore, v int); ALTER TABLE extended_row REPLICA IDENTITY FULL;
--- rows
INSERT INTO extended (id) VALUES (3);
INSERT INTO extended VALUES
  (1, '"a b"=>"1,2", c=>NULL, "q\"q"=>"\\"', 'CaSe', 'Top.Science.Astronomy', '*.Astro*', '(1,2),(3,4)', '978-0-393-04002-9',
   ARRAY['a=>1'::hstore, NULL], ARRAY['A', 'a']::citext[]),
  (2, '', '', '', NULL, NULL, NULL, '{}', '{}');
INSERT INTO extended_text VALUES (1, '1.50 .. 2.0', '1&(2|!3)', ARRAY['~3'::seg, NULL, '<4']), (2, NULL, NULL, '{}');
INSERT INTO extended_key VALUES ('Upper', 1), ('lower', 2), ('gone', 3);
INSERT INTO extended_keys VALUES ('a.b', '978-0-393-04002-9', 1), ('a.c', '978-0-393-04002-9', 2), ('a.d', '978-0-393-04002-9', 3);
INSERT INTO extended_row VALUES ('Same', 'a=>1', 1), ('same', 'a=>1', 1), ('SAME', 'a=>1', 1), (NULL, NULL, NULL), (NULL, NULL, NULL);
--- change
UPDATE extended SET h = h || 'new=>"x"', c = 'case', l = 'Top.Hobbies' WHERE id = 1;
UPDATE extended SET h = NULL, l = 'a.b' WHERE id = 2;
UPDATE extended_text SET s = '0(+-)1', q = NULL WHERE id = 1; UPDATE extended_text SET id = 3 WHERE id = 2;
UPDATE extended_key SET c = 'UPPER' WHERE c = 'upper'; UPDATE extended_key SET v = 4 WHERE c = 'LOWER'; DELETE FROM extended_key WHERE c = 'GONE';
UPDATE extended_row SET v = 2 WHERE c::text = 'same'; DELETE FROM extended_row WHERE c::text = 'SAME'; DELETE FROM extended_row WHERE ctid = (SELECT ctid FROM extended_row WHERE c IS NULL LIMIT 1);
UPDATE extended_keys SET v = 5 WHERE l = 'a.b'; UPDATE extended_keys SET l = 'z' WHERE l = 'a.c'; DELETE FROM extended_keys WHERE l = 'a.d';
