-- Tables with more columns than a function takes arguments, up to as many as there may be: their
-- rows from before they joined, and those that a command computed.
--- change
DO $$ BEGIN
  EXECUTE (SELECT format('CREATE TABLE wide (id int PRIMARY KEY, %s)',
    string_agg(format('c%s text', i), ', ')) FROM generate_series(2, 150) i);
  INSERT INTO wide (id, c2, c150) VALUES (1, 'first', 'last'), (2, NULL, '');
END $$;
--- change
UPDATE wide SET c149 = 'changed' WHERE id = 1;
INSERT INTO wide (id, c75) VALUES (3, 'middle');
--- change
ALTER TABLE wide ALTER c2 TYPE varchar(9) USING upper(c2);
--- change
DO $$ BEGIN
  EXECUTE (SELECT format('CREATE TABLE widest (id int PRIMARY KEY, %s)',
    string_agg(format('c%s int', i), ', ')) FROM generate_series(2, 1600) i);
  INSERT INTO widest (id, c2, c1600) VALUES (1, 2, 1600), (2, NULL, NULL);
END $$;
--- change
UPDATE widest SET c1600 = 7 WHERE id = 2;
DELETE FROM widest WHERE id = 1;
