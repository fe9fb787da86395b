-- Which publications of pipelines chose the tables: by their own name or a partition's root's.
CREATE OR REPLACE FUNCTION pgflow.chosen(relations oid[])
RETURNS TABLE (of_relation oid, of_publication text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY SELECT DISTINCT named.relation, p.publication
  FROM (
    SELECT r AS relation, r AS name_of FROM unnest(relations) r
    UNION ALL SELECT c.oid, a.relid::oid FROM pg_class c
    CROSS JOIN LATERAL pg_partition_ancestors(c.oid) a
    WHERE c.oid = ANY (relations) AND c.relispartition
  ) named JOIN pg_class c ON c.oid = named.name_of JOIN pg_namespace n ON n.oid = c.relnamespace
  CROSS JOIN pgflow.capture_pipeline p
  WHERE c.relpersistence = 'p' AND c.relkind IN ('r', 'p')
  AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'pgflow')
  AND (p.includes = '{}' OR EXISTS (
    SELECT FROM unnest(p.includes) i WHERE n.nspname || E'\x1f' || c.relname ~ i))
  AND NOT EXISTS (
    SELECT FROM unnest(p.excludes) e WHERE n.nspname || E'\x1f' || c.relname ~ e);
END $$;

-- Whether the publication brings the table's rows: by name, with its root, with its schema, or all.
CREATE OR REPLACE FUNCTION pgflow.is_published(relation oid, publication text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  found boolean;
BEGIN
  SELECT p.puballtables OR EXISTS (SELECT FROM pg_publication_rel r WHERE r.prpubid = p.oid
    AND (r.prrelid = relation OR r.prrelid IN (SELECT relid FROM pg_partition_ancestors(relation))))
  INTO found FROM pg_publication p WHERE p.pubname = publication;
  IF found OR current_setting('server_version_num')::int < 150000 THEN
    RETURN coalesce(found, false);
  END IF;
  RETURN EXISTS (SELECT FROM pg_publication_namespace n JOIN pg_publication p ON p.oid = n.pnpubid
    WHERE p.pubname = publication AND n.pnnspid IN (SELECT relnamespace FROM pg_class
      WHERE oid = relation OR oid IN (SELECT relid FROM pg_partition_ancestors(relation))));
END $$;

-- Those that chose the tables, and bring their rows.
CREATE OR REPLACE FUNCTION pgflow.published(relations oid[])
RETURNS TABLE (of_relation oid, of_publications text[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY SELECT c.of_relation, array_agg(c.of_publication ORDER BY c.of_publication)
  FROM pgflow.chosen(relations) c
  WHERE CASE WHEN EXISTS (SELECT FROM pg_publication p
      JOIN pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid = c.of_relation
      WHERE p.pubname = c.of_publication) THEN true
    ELSE pgflow.is_published(c.of_relation, c.of_publication) END
  GROUP BY c.of_relation;
END $$;

CREATE OR REPLACE FUNCTION pgflow.is_ours(publication text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN (SELECT EXISTS (SELECT FROM pg_publication p WHERE p.pubname = publication
      AND obj_description(p.oid, 'pg_publication') = 'made by pgflow'));
END $$;

-- Sees to it that UPDATE and DELETE of a published table go on to work: a table without a key gets
-- REPLICA IDENTITY FULL, as long as it has none. Only from commands that have locked it anyway.
CREATE OR REPLACE FUNCTION pgflow.keep_updatable(relation oid) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  has_key boolean := EXISTS (SELECT FROM pg_index WHERE indrelid = relation AND indisprimary
    AND indisvalid AND indimmediate);
  by_pgflow boolean;
BEGIN
  SELECT s.identity_by_pgflow INTO by_pgflow FROM pgflow.object_state s
  WHERE s.class = 'pg_class'::regclass AND s.object = relation;
  IF NOT has_key AND (SELECT relreplident = 'd' FROM pg_class WHERE oid = relation) THEN
    EXECUTE format('ALTER TABLE %s REPLICA IDENTITY FULL', relation::regclass);
    by_pgflow := true;
  ELSIF by_pgflow AND has_key THEN
    EXECUTE format('ALTER TABLE %s REPLICA IDENTITY DEFAULT', relation::regclass);
    by_pgflow := false;
  END IF;
  UPDATE pgflow.object_state s SET identity_by_pgflow = by_pgflow
  WHERE s.class = 'pg_class'::regclass AND s.object = relation
  AND s.identity_by_pgflow <> by_pgflow;
  RETURN coalesce(by_pgflow, false);
END $$;

-- Looks which publications are to bring the table's rows. `announced`: for which it is new.
-- `direct`: which bring them from now on, without its being asked for, but not those that are there.
CREATE OR REPLACE FUNCTION pgflow.admit(
  in_relation oid, OUT announced text[], OUT direct text[])
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  stored text[] := coalesce((SELECT publications FROM pgflow.object_state
    WHERE class = 'pg_class'::regclass AND object = in_relation), '{}');
  each text;
  joining boolean;
  root_joins boolean;
BEGIN
  announced := '{}';
  direct := '{}';
  FOR each IN SELECT of_publication FROM pgflow.chosen(ARRAY[in_relation]) ORDER BY 1 LOOP
    joining := EXISTS (SELECT FROM pgflow.joining_table j
      WHERE j.relation = in_relation AND j.publication = each);
    root_joins := EXISTS (SELECT FROM pgflow.joining_table j WHERE j.publication = each
      AND j.relation IN (SELECT relid FROM pg_partition_ancestors(in_relation))
      AND j.relation <> in_relation);
    IF each = ANY (stored) THEN
      -- A partition that has left its root. Its next row must not be missed.
      IF pgflow.is_ours(each) AND NOT pgflow.is_published(in_relation, each) THEN
        EXECUTE format('ALTER PUBLICATION %I ADD TABLE ONLY %s', each, in_relation::regclass);
      END IF;
    ELSIF pgflow.is_published(in_relation, each) THEN
      direct := direct || each;
      IF NOT joining THEN announced := announced || each; END IF;
      DELETE FROM pgflow.joining_table j WHERE j.relation = in_relation AND j.publication = each;
    ELSIF NOT joining AND pgflow.is_ours(each) THEN
      announced := announced || each;
      INSERT INTO pgflow.joining_table VALUES (in_relation, each, root_joins);
    END IF;
  END LOOP;
END $$;

-- The table and all that ALTER TABLE on it reaches. ROWS: who expects a thousand reads all of
-- pg_class to join them.
CREATE OR REPLACE FUNCTION pgflow.tree_and_heirs(relation oid) RETURNS SETOF oid
LANGUAGE plpgsql STABLE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY WITH RECURSIVE heir(oid) AS (
    SELECT relation UNION SELECT i.inhrelid FROM pg_inherits i JOIN heir h ON i.inhparent = h.oid)
  SELECT heir.oid FROM heir;
END $$;

-- The table and, when it is partitioned, all below it.
CREATE OR REPLACE FUNCTION pgflow.tree_of(relation oid) RETURNS SETOF oid
LANGUAGE plpgsql STABLE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY SELECT relation UNION SELECT relid::oid FROM pg_partition_tree(relation);
END $$;

-- From here on the publications bring the rows of the table and its partitions; emits those that
-- are there.
CREATE OR REPLACE FUNCTION pgflow.begin_rows(in_relation oid, in_publications text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  member record;
BEGIN
  FOR member IN SELECT s.object, c.relkind,
      ARRAY(SELECT unnest(in_publications) EXCEPT SELECT unnest(s.publications)) AS publications
    FROM pgflow.tree_of(in_relation) m(oid) JOIN pg_class c ON c.oid = m.oid
    JOIN pgflow.object_state s ON s.class = 'pg_class'::regclass AND s.object = m.oid
  LOOP
    CONTINUE WHEN member.publications = '{}';
    UPDATE pgflow.object_state s SET publications = s.publications || member.publications
    WHERE s.class = 'pg_class'::regclass AND s.object = member.object;
    DELETE FROM pgflow.joining_table j WHERE j.relation = member.object
      AND j.publication = ANY (member.publications);
    IF member.relkind = 'r' THEN
      PERFORM pgflow.emit_rows(member.object, '{}', 'insert', member.publications);
    END IF;
  END LOOP;
END $$;

-- At the commit of the transaction that made the table.
CREATE OR REPLACE FUNCTION pgflow.join_publication() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on SET timezone = 'UTC' SET lc_monetary = 'C'
SET datestyle = 'ISO, MDY' SET intervalstyle = 'postgres' SET extra_float_digits = 3
SET bytea_output = 'hex' SET quote_all_identifiers = off SET lock_timeout = 0 SET jit = off AS $$
DECLARE
  detail text;
  place text;
BEGIN
  IF NOT EXISTS (SELECT FROM pgflow.joining_table j JOIN pg_class c ON c.oid = j.relation
      WHERE j.relation = new.relation AND j.publication = new.publication AND NOT j.with_root) THEN
    DELETE FROM pgflow.joining_table j WHERE j.relation = new.relation
      AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = j.relation);
    RETURN NULL;
  END IF;
  BEGIN
    PERFORM pgflow.set_busy(true);
    EXECUTE format('ALTER PUBLICATION %I ADD TABLE ONLY %s', new.publication,
      new.relation::regclass);
    PERFORM pgflow.begin_rows(new.relation, ARRAY[new.publication]);
  EXCEPTION
  WHEN serialization_failure OR deadlock_detected THEN
    RAISE;  -- Whoever runs DDL beside others has to be ready for these, and the next try is captured.
  WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, place = PG_EXCEPTION_CONTEXT;
    PERFORM pgflow.emit_failure('CREATE TABLE', concat_ws('; ', sqlerrm, nullif(detail, ''), place));
  END;
  PERFORM pgflow.set_busy(false);
  RETURN NULL;
END $$;

-- Emits the table's rows as changes: those columns, or, with `whole`, everything again.
CREATE OR REPLACE FUNCTION pgflow.emit_rows(
  relation oid, changed text[], operation text, publications text[])
RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on SET timezone = 'UTC' SET lc_monetary = 'C'
SET datestyle = 'ISO, MDY' SET intervalstyle = 'postgres'
SET extra_float_digits = 3 SET bytea_output = 'hex' SET row_security = off AS $$
DECLARE
  header jsonb;
  expressions text;
  line text;
  lines text[] := '{}';
  size bigint := 0;
BEGIN
  WITH attribute AS (
    SELECT a.*, c.relreplident = 'f' OR EXISTS (SELECT FROM pg_index i WHERE i.indrelid = relation
        AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident
        ELSE false END AND a.attnum = ANY (i.indkey)) AS key
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''),
  shown AS (SELECT *, operation <> 'update' OR key OR attname = ANY (changed) AS sent FROM attribute)
  SELECT jsonb_build_object('relation', relation::bigint, 'schema', n.nspname, 'name', c.relname,
      'identity', c.relreplident, 'operation', operation, 'first', true,
      'publications', to_jsonb(publications), 'columns', (
        SELECT jsonb_agg(jsonb_build_object('name', attname, 'type', atttypid::bigint,
          'modifier', atttypmod, 'key', key, 'sent', sent) ORDER BY attnum) FROM shown)),
    (SELECT string_agg(format('CASE WHEN num_nulls(%1$I) = 0 THEN format(''%%s'', %1$I) END',
      attname), ', ' ORDER BY attnum) FROM shown WHERE sent)
  INTO header, expressions
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = relation;
  IF expressions IS NULL THEN RETURN; END IF;
  -- An array, because a function takes 100 arguments.
  FOR line IN EXECUTE format('SELECT array_to_json(ARRAY[%s]::text[])::text FROM ONLY %s',
      expressions, relation::regclass) LOOP
    lines := lines || line;
    size := size + length(line);
    IF size > 500000 THEN
      PERFORM pgflow.emit_block(header, lines);
      header := header - 'first';
      lines := '{}';
      size := 0;
    END IF;
  END LOOP;
  IF lines <> '{}' THEN PERFORM pgflow.emit_block(header, lines); END IF;
END $$;

CREATE OR REPLACE FUNCTION pgflow.emit_block(header jsonb, lines text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM pgflow.emit('rows', header || jsonb_build_object(
    'rows', ('[' || array_to_string(lines, ',') || ']')::jsonb));
END $$;
