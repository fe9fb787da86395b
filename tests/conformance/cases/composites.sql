-- Composites of built-in fields, also in domains and arrays, and those with an array in them; the row
-- type of a table.
--- needs: text
--- both
CREATE TABLE template (a int, b text);
--- schema
CREATE TYPE spot AS (x int, y text);
CREATE TYPE spread AS (x int[], y numeric[], at timestamptz);
CREATE DOMAIN good_spot AS spot CHECK ((VALUE).x > 0);
CREATE TABLE composites (id int PRIMARY KEY, s spot, w spread, d good_spot, sa spot[], wa spread[], da good_spot[], r template, ra template[]);
CREATE TABLE composite_key (s spot PRIMARY KEY, v int);
--- rows
INSERT INTO composites VALUES (1, ROW(1, 'a,"b)'), ROW('{1,NULL}', '{}', 'infinity'), ROW(1, ''), ARRAY[ROW(1, NULL), NULL]::spot[],
  ARRAY[ROW('{1}', NULL, NULL)]::spread[], ARRAY[ROW(2, '\')]::good_spot[], ROW(1, 'r'), ARRAY[ROW(2, NULL)]::template[]);
INSERT INTO composites VALUES (2), (3);
INSERT INTO composite_key VALUES (ROW(1, 'one'), 1), (ROW(1, 'two'), 2), (ROW(2, NULL), 3);
--- change
UPDATE composites SET s = ROW(NULL, NULL), d = ROW(5, 'five'), w.x = '{9,8}' WHERE id = 2; UPDATE composites SET s.x = 7, r.b = NULL WHERE id = 1;
UPDATE composite_key SET v = 10 WHERE v = 1; UPDATE composite_key SET s = ROW(3, 'three') WHERE v = 2; DELETE FROM composite_key WHERE v = 10;
INSERT INTO composites (id, wa, da) VALUES (4, ARRAY[ROW('{{1},{2}}', '{NaN}', now())]::spread[], '{}'); DELETE FROM composites WHERE id = 3;
