-- Composites, arrays, domains, ranges and multiranges in one another, two deep, around built-in types
-- and enums: in columns, in keys and in whole rows.
--- needs: text, server 14
--- schema
CREATE TYPE e AS ENUM ('one', 'two', 'it''s "3"');
CREATE TYPE plain AS (n int, t text, d numeric);
CREATE DOMAIN word AS text CHECK (VALUE <> 'never');
CREATE TABLE made (place int PRIMARY KEY, type text, small text, large text);
CREATE FUNCTION wrap(n int, type text, small text, large text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  each text[];
  other int;
BEGIN
  EXECUTE format('CREATE TYPE c%1$s AS (a %2$s, b int, c text); CREATE DOMAIN d%1$s AS %2$s;
    CREATE TYPE r%1$s AS RANGE (SUBTYPE = %2$s, MULTIRANGE_TYPE_NAME = m%1$s);
    CREATE TABLE t%1$s (id int PRIMARY KEY, x %2$s, c c%1$s, ca c%1$s[], d d%1$s, da d%1$s[], r r%1$s,
      ra r%1$s[], m m%1$s, ma m%1$s[]);
    CREATE TABLE k%1$s (c c%1$s, x %2$s, r r%1$s, v int, PRIMARY KEY (c, x, r));
    CREATE TABLE f%1$s (c c%1$s, m m%1$s, da d%1$s[]); ALTER TABLE f%1$s REPLICA IDENTITY FULL', n, type);
  INSERT INTO made VALUES (n, type, small, large);
  IF n NOT IN (2, 4) THEN RETURN; END IF;
  FOREACH each SLICE 1 IN ARRAY ARRAY[
      ['c' || n, format('ROW(%s, 1, NULL)', small), format('ROW(%s, 2, ''a,"b)'')', large)],
      ['d' || n, small, large], ['r' || n, format('r%s(%s, %s)', n, small, large), format('r%s(%s, NULL)', n, large)],
      ['m' || n, format('m%1$s(r%1$s(%2$s, %3$s))', n, small, large), format('m%1$s(r%1$s(%2$s, NULL))', n, large)],
      ['c' || n || '[]', format('ARRAY[ROW(%s, 1, NULL)]::c%s[]', small, n),
        format('ARRAY[ROW(%s, 1, ''''), NULL]::c%s[]', large, n)]] LOOP
    PERFORM wrap((SELECT max(place) + 1 FROM made WHERE place >= 10), each[1],
      format('(%s)::%s', each[2], each[1]), format('(%s)::%s', each[3], each[1]));
  END LOOP;
END $$;
INSERT INTO made VALUES (10, 'none', 'NULL', 'NULL');
SELECT wrap(1, 'int', '1', '2'), wrap(2, 'e', '''one''::e', '''two''::e'), wrap(3, 'word', '''a''::word', '''b''::word'),
  wrap(4, 'plain', 'ROW(1, ''x'', 1.10)::plain', 'ROW(2, NULL, ''NaN'')::plain'), wrap(5, 'e[]', '''{one}''::e[]', '''{two,NULL}''::e[]'),
  wrap(6, 'int4range', '''[1,2)''::int4range', '''[2,)''::int4range');
DELETE FROM made WHERE type = 'none';
--- rows
DO $$ DECLARE m made; BEGIN FOR m IN SELECT * FROM made LOOP
  EXECUTE format('INSERT INTO t%1$s VALUES (1, %2$s, ROW(%2$s, 1, ''q"\''), ARRAY[ROW(%2$s, NULL, ''''), NULL]::c%1$s[], %2$s,
      array_append(NULL::d%1$s[], (%2$s)::d%1$s), r%1$s(%2$s, %3$s), ARRAY[r%1$s(%2$s, %3$s), ''empty'', NULL], m%1$s(r%1$s(%2$s, %3$s)), ARRAY[m%1$s()]),
    (2, NULL, NULL, ''{}'', NULL, ''{}'', ''empty'', NULL, ''{}'', NULL);
    INSERT INTO t%1$s (id, x, c, r) VALUES (3, %3$s, ROW(NULL, NULL, NULL), r%1$s(NULL, NULL));
    INSERT INTO k%1$s VALUES (ROW(%2$s, 1, ''k''), %2$s, r%1$s(%2$s, %3$s), 1), (ROW(%3$s, 1, ''k''), %2$s, r%1$s(%2$s, %3$s), 2),
      (ROW(%3$s, 1, ''k''), %3$s, ''empty'', 3);
    INSERT INTO f%1$s VALUES (ROW(%2$s, 1, NULL), m%1$s(r%1$s(%2$s, %3$s)), array_append(NULL::d%1$s[], (%2$s)::d%1$s)), (ROW(%3$s, 1, NULL), NULL, NULL)',
    m.place, m.small, m.large);
END LOOP; END $$;
--- change
DO $$ DECLARE m made; BEGIN FOR m IN SELECT * FROM made LOOP
  EXECUTE format('UPDATE t%1$s SET x = %3$s, c = ROW(%3$s, 2, NULL), da = array_append(NULL::d%1$s[], (%3$s)::d%1$s), m = m%1$s(r%1$s(%2$s, NULL)) WHERE id = 2;
    UPDATE t%1$s SET id = 30, ca = ARRAY[ROW(%3$s, 1, NULL)]::c%1$s[], ra = ARRAY[r%1$s(%2$s, %3$s)] WHERE id = 3; DELETE FROM t%1$s WHERE id = 1;
    INSERT INTO t%1$s (id, c, d) VALUES (4, ROW(%2$s, 4, ''''), %3$s); UPDATE k%1$s SET v = 10 WHERE v = 1; DELETE FROM k%1$s WHERE v = 2;
    UPDATE k%1$s SET c = ROW(%2$s, 3, NULL), r = r%1$s(%2$s, NULL) WHERE v = 3;
    UPDATE f%1$s SET c = ROW(%2$s, 9, NULL) WHERE m IS NULL; DELETE FROM f%1$s WHERE m IS NOT NULL', m.place, m.small, m.large);
END LOOP; END $$;
