-- Names: quotes, dots, backslashes, blanks, letters beyond ASCII, 63 bytes, reserved words, names that
-- differ in case only, % and _.
--- schema
CREATE SCHEMA "My.Schema"; CREATE SCHEMA "select";
CREATE TABLE "My.Schema"."a ""quoted"" \table'" ("ID" int PRIMARY KEY, "id" text, "sel.ect" int, "with ""quote""" text);
CREATE TABLE "select"."from" ("where" int, "order" text, PRIMARY KEY ("where"));
CREATE TABLE case_only (id int PRIMARY KEY); CREATE TABLE "Case_Only" (id int PRIMARY KEY, "Id" int);
CREATE TABLE "ünïcode_тест_表" ("столбец" int PRIMARY KEY, "列" text);
CREATE TABLE nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn (ccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc int PRIMARY KEY);
CREATE TABLE "100%_sure{}" ("{0}" int PRIMARY KEY, "%s" text, "$1" text);
--- rows
INSERT INTO "My.Schema"."a ""quoted"" \table'" SELECT i, 'v', i, NULL FROM generate_series(1, 40) i;
INSERT INTO "select"."from" VALUES (1, 'by'); INSERT INTO case_only VALUES (1); INSERT INTO "Case_Only" VALUES (2, 3);
INSERT INTO "ünïcode_тест_表" VALUES (1, '值'); INSERT INTO nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn VALUES (1);
INSERT INTO "100%_sure{}" SELECT i, '%d', '{}' FROM generate_series(1, 40) i;
--- change
UPDATE "My.Schema"."a ""quoted"" \table'" SET "id" = '"', "with ""quote""" = '''' WHERE "ID" < 36;
UPDATE "select"."from" SET "order" = NULL; UPDATE "Case_Only" SET "Id" = 4; DELETE FROM case_only;
UPDATE "ünïcode_тест_表" SET "列" = 'é'; UPDATE "100%_sure{}" SET "%s" = "$1", "{0}" = -"{0}";
