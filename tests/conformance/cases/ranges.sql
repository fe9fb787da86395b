-- Ranges: empty, unbounded, inclusive and exclusive, of every built-in subtype and of one of our own;
-- geometric types; pg_lsn.
--- schema
CREATE TYPE float_range AS RANGE (subtype = float8);
CREATE TABLE ranges (id int PRIMARY KEY, i4 int4range, i8 int8range, n numrange, ts tsrange, tz tstzrange,
  d daterange, f float_range, a int4range[], p point, l line, s lseg, b box, pa path, po polygon, c circle, w pg_lsn);
--- rows
INSERT INTO ranges VALUES
  (1, 'empty', '(,)', '[1.10,2.2]', '(2020-01-01,infinity)', '[,2020-01-01)', '[2020-01-01,2020-01-02)', '(-Infinity,NaN]',
   ARRAY['[1,2)'::int4range, 'empty', NULL], '(1e-300,-0)', '{1,2,3}', '[(0,0),(1,1)]', '(1,1),(0,0)',
   '[(0,0),(1,1)]', '((0,0),(1,1),(0,1))', '<(0,0),5>', '16/B374D848'),
  (2, '[1,1]', '[-9223372036854775808,0]', '(,0)', NULL, NULL, 'empty', NULL, '{}', NULL, NULL, NULL, NULL,
   '((0,0),(1,1))', NULL, NULL, '0/0');
--- change
UPDATE ranges SET i4 = i4 * '[0,100)', n = 'empty', a = a || '[5,6)'::int4range WHERE id = 1;
UPDATE ranges SET f = '[1,2]', p = '(NaN,Infinity)' WHERE id = 2;
