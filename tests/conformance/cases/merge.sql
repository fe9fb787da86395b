-- MERGE: rows inserted, updated, deleted and left alone by one statement; into a partitioned table,
-- with rows that move; on a key that a rule of the statement changes.
--- needs: server 15
--- schema
CREATE TABLE stock (id int PRIMARY KEY, n int, note text);
CREATE TABLE wares (id int, region text, n int, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE wares_eu PARTITION OF wares FOR VALUES IN ('eu');
CREATE TABLE wares_rest PARTITION OF wares DEFAULT;
--- rows
INSERT INTO stock SELECT i, i, 'n' FROM generate_series(1, 100) i;
INSERT INTO wares SELECT i, CASE i % 2 WHEN 0 THEN 'eu' ELSE 'us' END, i FROM generate_series(1, 100) i;
--- rows
MERGE INTO stock s USING (SELECT i AS id FROM generate_series(90, 110) i) d ON s.id = d.id
  WHEN MATCHED AND s.n % 2 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET note = 'met'
  WHEN NOT MATCHED THEN INSERT VALUES (d.id, 0, 'new');
--- change
MERGE INTO stock s USING (SELECT i AS id, i % 5 AS what FROM generate_series(1, 150) i) d ON s.id = d.id
  WHEN MATCHED AND d.what = 0 THEN DELETE
  WHEN MATCHED AND d.what = 1 THEN UPDATE SET n = -s.n, note = NULL
  WHEN MATCHED AND d.what = 2 THEN DO NOTHING
  WHEN MATCHED AND d.what = 3 THEN UPDATE SET id = s.id + 1000
  WHEN NOT MATCHED AND d.what = 4 THEN DO NOTHING
  WHEN NOT MATCHED THEN INSERT (id, n) VALUES (d.id, 7);
--- change
MERGE INTO wares w USING (SELECT i AS id FROM generate_series(1, 130) i) d ON w.id = d.id
  WHEN MATCHED AND w.id % 10 < 3 THEN DELETE
  WHEN MATCHED AND w.id % 10 < 6 THEN UPDATE SET region = CASE w.region WHEN 'eu' THEN 'us' ELSE 'eu' END
  WHEN MATCHED THEN UPDATE SET n = w.n + 1
  WHEN NOT MATCHED THEN INSERT VALUES (d.id, 'eu', 0);
MERGE INTO stock s USING wares w ON s.id = w.id WHEN MATCHED THEN UPDATE SET n = w.n;
