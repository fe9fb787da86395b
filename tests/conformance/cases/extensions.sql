-- Types of extensions: hstore with NULL and quotes, citext, ltree, cube, isn.
--- needs: extension hstore, citext, ltree, cube, isn
--- schema
CREATE TABLE extended (id int PRIMARY KEY, h hstore, c citext, l ltree, q lquery, b cube, i isbn, hs hstore[], cs citext[]);
--- rows
INSERT INTO extended (id) VALUES (3);
INSERT INTO extended VALUES
  (1, '"a b"=>"1,2", c=>NULL, "q\"q"=>"\\"', 'CaSe', 'Top.Science.Astronomy', '*.Astro*', '(1,2),(3,4)', '978-0-393-04002-9',
   ARRAY['a=>1'::hstore, NULL], ARRAY['A', 'a']::citext[]),
  (2, '', '', '', NULL, NULL, NULL, '{}', '{}');
--- change
UPDATE extended SET h = h || 'new=>"x"', c = 'case', l = 'Top.Hobbies' WHERE id = 1;
UPDATE extended SET h = NULL, l = 'a.b' WHERE id = 2;
