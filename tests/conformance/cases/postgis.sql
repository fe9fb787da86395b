-- PostGIS: geometry and geography of every kind, with SRID, Z and M, empty, with NaN coordinates, large,
-- NULL, in arrays; columns of one kind and SRID; as a key, in whole rows, out of line and left alone.
--- needs: text, extension postgis
--- schema
CREATE TABLE places (id int PRIMARY KEY, g geometry, p geometry(Point, 4326), z geometry(PointZ, 3857), m geometry(LineStringZM),
  e geography, ep geography(Point, 4326), a geometry[], ea geography[], b box2d, b3 box3d, v int);
CREATE TABLE shapes (id int PRIMARY KEY, v int, g geometry, e geography);
ALTER TABLE shapes ALTER g SET STORAGE EXTERNAL, ALTER e SET STORAGE EXTERNAL;
CREATE TABLE by_place (g geometry PRIMARY KEY, v int);
CREATE TABLE whole_places (g geometry, e geography, v int); ALTER TABLE whole_places REPLICA IDENTITY FULL;
--- rows
INSERT INTO places (id) VALUES (3);
INSERT INTO places VALUES
  (1, 'POINT(1 2)', 'SRID=4326;POINT(1e-300 -0)', 'SRID=3857;POINT Z(1 2 3)', 'LINESTRING ZM(1 2 3 4,5 6 7 8)', 'POINT(0.1 0.2)', 'POINT(-180 90)',
   ARRAY['POINT(1 2)'::geometry, NULL, 'SRID=4326;POLYGON((0 0,1 0,1 1,0 0),(0.1 0.1,0.2 0.1,0.2 0.2,0.1 0.1))'], ARRAY['POINT(1 2)'::geography, NULL],
   'BOX(1 2,3 4)', 'BOX3D(1 2 3,4 5 6)', 1),
  (2, 'POINT EMPTY', 'SRID=4326;POINT EMPTY', NULL, 'LINESTRING ZM EMPTY', 'GEOMETRYCOLLECTION EMPTY', NULL, '{}', '{}', NULL, NULL, 2),
  (4, ST_MakePoint('NaN', 'NaN'), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 4),
  (5, 'SRID=4326;MULTIPOINT((1 2),(3 4))', NULL, NULL, NULL, 'LINESTRING(0 0,10 10)', NULL, NULL, NULL, NULL, NULL, 5),
  (6, 'GEOMETRYCOLLECTION(POINT(1 2),LINESTRING(1 2,3 4),GEOMETRYCOLLECTION EMPTY)', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 6),
  (7, 'CURVEPOLYGON(CIRCULARSTRING(0 0,4 0,4 4,0 4,0 0))', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 7),
  (8, 'SRID=32633;MULTIPOLYGON Z(((0 0 1,1 0 1,1 1 1,0 0 1)))', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 8),
  (9, 'TIN(((0 0 0,0 0 1,0 1 0,0 0 0)))', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 9),
  (10, ST_MakePointM(1, '-Infinity', 'Infinity'), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 10);
INSERT INTO shapes SELECT i, i, ST_Buffer(ST_SetSRID(ST_Point(i, -i), 4326), 1, 300), ST_Segmentize(ST_MakeLine(ST_Point(0, 0), ST_Point(i, i)), 0.001)::geography
  FROM generate_series(1, 10) i;
INSERT INTO by_place SELECT ST_SetSRID(ST_Point(i, i / 3.0), 4326), i FROM generate_series(1, 60) i;
INSERT INTO whole_places SELECT ST_Point(i % 3, 0), NULL, 0 FROM generate_series(1, 12) i; INSERT INTO whole_places VALUES (NULL, 'POINT(1 2)', NULL);
--- change
UPDATE places SET g = ST_SetSRID(g, 4326), a = a || 'POINT EMPTY'::geometry, v = v + 1 WHERE id IN (1, 6); UPDATE places SET p = NULL, e = 'POINT(1 2)' WHERE id = 2;
UPDATE places SET v = -v WHERE id = 4; DELETE FROM places WHERE id = 7; UPDATE places SET id = 30 WHERE id = 3;
UPDATE shapes SET v = v + 100 WHERE id <= 5; UPDATE shapes SET id = -id WHERE id = 6; UPDATE shapes SET g = ST_Reverse(g) WHERE id = 7;
--- change
UPDATE by_place SET v = 0 WHERE v < 40; UPDATE by_place SET g = ST_Translate(g, 100, 0) WHERE v = 50; DELETE FROM by_place WHERE v > 55;
UPDATE whole_places SET v = 1 WHERE ctid IN (SELECT ctid FROM whole_places WHERE ST_X(g) = 1 LIMIT 2); DELETE FROM whole_places WHERE ctid = (SELECT ctid FROM whole_places WHERE ST_X(g) = 2 LIMIT 1);
DELETE FROM whole_places WHERE g IS NULL;
