-- NOT NULL constraints of domains, which have names from version 17: made, renamed, dropped, made again
--- needs: server 17
--- change
CREATE DOMAIN named AS int CONSTRAINT is_there NOT NULL;
CREATE DOMAIN plain AS int NOT NULL CHECK (VALUE > 0);
CREATE DOMAIN loose AS text;
CREATE TABLE t (id int PRIMARY KEY, a named, b plain, c loose);
INSERT INTO t VALUES (1, 1, 1, 'x');
--- change
ALTER DOMAIN named RENAME CONSTRAINT is_there TO "is still there";
ALTER DOMAIN loose ADD CONSTRAINT not_loose NOT NULL;
--- change
ALTER DOMAIN plain DROP NOT NULL;
ALTER DOMAIN named DROP CONSTRAINT "is still there";
INSERT INTO t VALUES (2, NULL, NULL, 'y');
--- change
DELETE FROM t WHERE id = 2;
ALTER DOMAIN plain SET NOT NULL;
