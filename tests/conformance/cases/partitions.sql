-- Partitioned tables: several levels, a default partition, leaves whose columns stand in another
-- order, rows that move between partitions; inheritance with rows in the parent.
--- schema
CREATE TABLE measured (id int, day date, region text, v int, PRIMARY KEY (id, day, region)) PARTITION BY RANGE (day);
CREATE TABLE measured_2025 PARTITION OF measured FOR VALUES FROM ('2025-01-01') TO ('2026-01-01') PARTITION BY LIST (region);
CREATE TABLE measured_2025_eu PARTITION OF measured_2025 FOR VALUES IN ('eu');
CREATE TABLE measured_2025_rest PARTITION OF measured_2025 DEFAULT;
CREATE TABLE measured_2026 (v int, region text NOT NULL, day date NOT NULL, id int NOT NULL);
ALTER TABLE measured ATTACH PARTITION measured_2026 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE measured_default PARTITION OF measured DEFAULT;
CREATE TABLE city (id int PRIMARY KEY, name text);
CREATE TABLE capital (id int PRIMARY KEY, name text, country text) INHERITS (city);
--- rows
INSERT INTO measured SELECT i, date '2024-12-01' + i * 3, CASE i % 3 WHEN 0 THEN 'eu' WHEN 1 THEN 'us' ELSE 'asia' END, i FROM generate_series(1, 300) i;
INSERT INTO city VALUES (1, 'Lyon'); INSERT INTO capital VALUES (2, 'Paris', 'France');
--- change
UPDATE measured SET region = 'eu' WHERE region = 'us' AND id % 2 = 0;
UPDATE measured SET day = day + 400 WHERE id % 10 = 0;
DELETE FROM measured WHERE id % 7 = 0;
UPDATE city SET name = upper(name); DELETE FROM ONLY city WHERE id = 1;
--- change
TRUNCATE measured_2025_eu;
INSERT INTO measured VALUES (1000, '2030-01-01', 'eu', 1), (1001, '2026-06-01', 'eu', 2);
