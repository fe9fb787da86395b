-- pgvector: vector, halfvec, sparsevec; of a fixed size, negative zero, the largest and the smallest
-- values, empty sparse ones, NULL, in arrays, as a key, large and left alone.
--- needs: extension vector
--- schema
CREATE TABLE vectors (id int PRIMARY KEY, e vector(3), any_size vector, many vector[], v int);
CREATE TABLE embeddings (id int PRIMARY KEY, e vector(1536), v int);
ALTER TABLE embeddings ALTER e SET STORAGE EXTERNAL;
CREATE TABLE by_vector (e vector(2) PRIMARY KEY, v int);
CREATE TABLE whole_vectors (e vector, v int); ALTER TABLE whole_vectors REPLICA IDENTITY FULL;
DO $$ BEGIN
  IF to_regtype('sparsevec') IS NOT NULL THEN
    CREATE TABLE other_vectors (id int PRIMARY KEY, h halfvec(3), s sparsevec(100000), hs halfvec[], ss sparsevec[]);
  END IF; END $$;
--- rows
INSERT INTO vectors VALUES (1, '[1,2,3]', '[0.1]', ARRAY['[1,2]'::vector, NULL], 1), (2, '[-0,0,1e-45]', '[3.4e38,-3.4e38]', '{}', 2), (3, NULL, NULL, NULL, 3);
INSERT INTO embeddings SELECT i, (SELECT array_agg(sin(i * n)::real ORDER BY n) FROM generate_series(1, 1536) n)::vector, i FROM generate_series(1, 50) i;
INSERT INTO by_vector SELECT format('[%s,%s]', i, i / 3.0)::vector, i FROM generate_series(1, 60) i;
INSERT INTO whole_vectors SELECT format('[%s]', i % 3)::vector, 0 FROM generate_series(1, 12) i; INSERT INTO whole_vectors VALUES (NULL, NULL), ('[-0]', 0);
DO $$ BEGIN
  IF to_regtype('sparsevec') IS NOT NULL THEN
    INSERT INTO other_vectors VALUES (1, '[1,-0,65504]', '{1:1.5,100000:-2}/100000', ARRAY['[1]'::halfvec, NULL], ARRAY['{}/3'::sparsevec, '{2:1}/3']), (2, NULL, '{}/100000', '{}', NULL);
  END IF; END $$;
--- change
UPDATE vectors SET e = '[4,5,6]', any_size = '[1,2,3,4]', many = many || '[7]'::vector WHERE id = 1; UPDATE vectors SET v = 0; DELETE FROM vectors WHERE id = 3;
UPDATE embeddings SET v = v + 1 WHERE id < 20; UPDATE embeddings SET id = -id WHERE id > 40; UPDATE embeddings SET e = e + e WHERE id = 30;
--- change
UPDATE by_vector SET v = 0 WHERE v < 40; UPDATE by_vector SET e = '[100,100]' WHERE v = 50; DELETE FROM by_vector WHERE v > 55;
UPDATE whole_vectors SET v = 1 WHERE ctid IN (SELECT ctid FROM whole_vectors WHERE e::text = '[1]' LIMIT 2); DELETE FROM whole_vectors WHERE e::text = '[-0]'; DELETE FROM whole_vectors WHERE e IS NULL;
DO $$ BEGIN
  IF to_regtype('sparsevec') IS NOT NULL THEN
    UPDATE other_vectors SET h = '[1,2,3]', s = '{7:7}/100000' WHERE id = 2; UPDATE other_vectors SET id = 3, ss = NULL WHERE id = 1;
  END IF; END $$;
