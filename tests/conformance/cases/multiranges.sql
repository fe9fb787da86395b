-- Multiranges, of built-in subtypes and of one of our own.
--- needs: server 14
--- schema
CREATE TYPE multi_float_range AS RANGE (subtype = float8);
CREATE TABLE multiranges (id int PRIMARY KEY, i int4multirange, n nummultirange, t tstzmultirange, f multi_float_multirange);
--- rows
INSERT INTO multiranges VALUES (1, '{}', '{(,1.5],[2,)}', '{[2020-01-01,2021-01-01),[2022-01-01,)}', '{[1,2],[3,4)}'),
  (2, '{[1,3),[5,8)}', NULL, '{}', '{}');
--- change
UPDATE multiranges SET i = i + '{[100,200)}', n = '{}';
