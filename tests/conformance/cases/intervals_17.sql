-- Infinite intervals, alone, in arrays, and as a key.
--- needs: server 17
--- schema
CREATE TABLE intervals (i interval PRIMARY KEY, a interval[], r interval(0), v int);
--- rows
INSERT INTO intervals VALUES ('infinity', '{infinity,NULL,-infinity,1 day}', '-infinity', 1), ('-infinity', '{}', NULL, 2), ('1 mon', NULL, 'infinity', 3);
--- change
UPDATE intervals SET v = v + 1, a = a || interval '-infinity' WHERE i <> '1 mon';
UPDATE intervals SET r = NULL WHERE i = 'infinity'; DELETE FROM intervals WHERE i = '-infinity';
INSERT INTO intervals VALUES ('-infinity', NULL, 'infinity', 4);
