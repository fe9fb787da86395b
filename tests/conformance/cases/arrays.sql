-- Arrays: empty, with NULLs, of several dimensions, with lower bounds other than 1; of text, numeric,
-- bytea, json, enums, domains, composites, and box, whose delimiter is another one.
--- needs: text
--- schema
CREATE TYPE color AS ENUM ('red', 'green "dark"', 'blue,light');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE pair AS (a int, b text);
CREATE TABLE arrays (id int PRIMARY KEY, i int[], t text[], n numeric[], y bytea[], j json[], jb jsonb[],
  e color[], d positive[], c pair[], b box[], ts timestamptz[]);
--- rows
INSERT INTO arrays (id) VALUES (4);
INSERT INTO arrays VALUES
  (1, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}'),
  (2, '{1,NULL,3}', ARRAY['', NULL, 'NULL', 'a,b', '{}', E'q"\\'], '{1.10,NaN,NULL}', ARRAY['\x00ff'::bytea, NULL],
   ARRAY['{"a": 1}'::json, NULL], ARRAY['{"a": [1, 2]}'::jsonb], ARRAY['green "dark"', 'blue,light', NULL]::color[],
   ARRAY[1, NULL, 2]::positive[], ARRAY[ROW(1, 'x,"y'), NULL, ROW(NULL, '')]::pair[],
   ARRAY['(1,2),(3,4)'::box, '(0,0),(0,0)'::box], ARRAY['infinity'::timestamptz, NULL]),
  (3, '[-2:0]={7,8,9}', '[2:3][5:6]={{a,b},{c,d}}', '{{1,2},{3,4}}', NULL, NULL, NULL,
   '[0:0]={red}', '{{1,2},{3,4}}', NULL, NULL, NULL);
--- change
UPDATE arrays SET i = i || 4, t = t || 'new'::text, e = e || 'red'::color, c = c || ROW(2, 'z')::pair WHERE id = 2;
UPDATE arrays SET i[10] = 1, d = NULL WHERE id = 3;
