-- Whether an object is in this one of so many shares of all objects.
CREATE OR REPLACE FUNCTION pgflow.in_share(object oid, share int, shares int) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
  SELECT abs(hashoid(object)::bigint) % shares = share
$$;

-- The states of everything in that share which is there.
CREATE OR REPLACE FUNCTION pgflow.present_states(share int, shares int)
RETURNS TABLE (of_class oid, of_object oid, of_state jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  relations oid[];
  sequences oid[];
BEGIN
  SELECT coalesce(array_agg(c.oid) FILTER (WHERE c.relkind <> 'S'), '{}'),
    coalesce(array_agg(c.oid) FILTER (WHERE c.relkind = 'S' AND NOT EXISTS (
      SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
      AND d.deptype = 'i' AND d.refclassid = 'pg_class'::regclass)), '{}')
  INTO relations, sequences
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND c.relpersistence <> 't'
  AND n.nspname !~ '^(pg_|information_schema$|pgflow$)' AND pgflow.in_share(c.oid, share, shares)
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
    AND d.objid = c.oid AND d.deptype = 'e');
  RETURN QUERY SELECT 'pg_class'::regclass::oid, r.of_object, r.of_state
  FROM pgflow.relation_states(relations) r;
  RETURN QUERY SELECT 'pg_class'::regclass::oid, r.of_object, r.of_state
  FROM pgflow.sequence_states(sequences) r;
  RETURN QUERY SELECT o.class, o.oid, pgflow.state(o.class, o.oid)
  FROM (
    SELECT 'pg_type'::regclass::oid AS class, t.oid, typnamespace AS namespace FROM pg_type t
    WHERE typtype IN ('e', 'd', 'r') OR typtype = 'c' AND EXISTS (
      SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c')
    UNION ALL SELECT 'pg_proc'::regclass, oid, pronamespace FROM pg_proc WHERE prokind <> 'a'
    UNION ALL SELECT 'pg_namespace'::regclass, oid, oid FROM pg_namespace
    UNION ALL SELECT 'pg_extension'::regclass, oid, NULL FROM pg_extension
    UNION ALL SELECT 'pg_default_acl'::regclass, oid, NULL FROM pg_default_acl
    UNION ALL SELECT * FROM pgflow.definitions()
  ) o LEFT JOIN pg_namespace n ON n.oid = o.namespace
  WHERE coalesce(n.nspname, '') !~ '^(pg_|information_schema$|pgflow$)'
  AND pgflow.in_share(o.oid, share, shares)
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = o.class AND d.objid = o.oid
    AND d.deptype = 'e');
END $$;

-- Stores which publications bring the tables' rows, where it is more than is known.
CREATE OR REPLACE FUNCTION pgflow.refresh_publications() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET jit = off AS $$
BEGIN
  UPDATE pgflow.object_state s SET publications = now.of_publications
  FROM pgflow.published(ARRAY(SELECT object FROM pgflow.object_state
    WHERE class = 'pg_class'::regclass)) now
  WHERE s.class = 'pg_class'::regclass AND s.object = now.of_relation
  AND NOT s.publications @> now.of_publications;
END $$;

-- Stores the states of one share of what is there: several sessions can do so side by side. Each
-- state is computed once, and all of them together. The number of states that nobody had stored.
CREATE OR REPLACE FUNCTION pgflow.refresh_share(share int, shares int) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on SET timezone = 'UTC' SET lc_monetary = 'C'
SET datestyle = 'ISO, MDY' SET intervalstyle = 'postgres' SET extra_float_digits = 3
SET bytea_output = 'hex' SET quote_all_identifiers = off SET jit = off
SET plan_cache_mode = force_generic_plan SET work_mem = '64MB' AS $$
DECLARE
  stale record;
  classes oid[];
  objects oid[];
  new bigint;
BEGIN
  DELETE FROM pgflow.command_note WHERE transaction < pg_snapshot_xmin(pg_current_snapshot());
  WITH present AS MATERIALIZED (SELECT * FROM pgflow.present_states(share, shares)),
  added AS (
    INSERT INTO pgflow.object_state (class, object, state, publications)
    SELECT p.of_class, p.of_object, p.of_state, coalesce(b.of_publications, '{}')
    FROM present p LEFT JOIN pgflow.published(ARRAY(SELECT n.of_object FROM present n
      WHERE n.of_class = 'pg_class'::regclass)) b
      ON p.of_class = 'pg_class'::regclass AND b.of_relation = p.of_object
    WHERE NOT EXISTS (SELECT FROM pgflow.object_state s
      WHERE s.class = p.of_class AND s.object = p.of_object)
    ON CONFLICT (class, object) DO NOTHING  -- Its command has stored it meanwhile.
    RETURNING object),
  -- By itself: the state of each would be asked for before it is known that few are absent.
  absent AS MATERIALIZED (
    SELECT s.class, s.object FROM pgflow.object_state s
    WHERE pgflow.in_share(s.object, share, shares) AND NOT EXISTS (SELECT FROM present p
      WHERE p.of_class = s.class AND p.of_object = s.object)),
  gone AS (
    DELETE FROM pgflow.object_state s USING absent a
    WHERE s.class = a.class AND s.object = a.object AND pgflow.state(a.class, a.object) IS NULL)
  SELECT array_agg(s.class), array_agg(s.object), (SELECT count(*) FROM added)
  INTO classes, objects, new
  FROM pgflow.object_state s
  LEFT JOIN present p ON p.of_class = s.class AND p.of_object = s.object
  WHERE pgflow.in_share(s.object, share, shares)
  AND s.state <> CASE WHEN p.of_object IS NULL THEN pgflow.state(s.class, s.object)
    ELSE p.of_state END;
  FOR stale IN SELECT * FROM unnest(classes, objects) s(class, object) LOOP
    -- Behind a command that is changing it just now.
    IF stale.class = 'pg_class'::regclass
        AND (SELECT relkind IN ('r', 'p', 'v') FROM pg_class WHERE oid = stale.object) THEN
      EXECUTE format('LOCK TABLE %s IN ACCESS SHARE MODE', stale.object::regclass);
    END IF;
    PERFORM pgflow.await_others(stale.class, stale.object, NULL, NULL);
    UPDATE pgflow.object_state SET state = pgflow.state(class, object)
    WHERE class = stale.class AND object = stale.object
    AND pgflow.state(class, object) IS NOT NULL;
  END LOOP;
  RETURN new;
END $$;

-- Stores the state of everything that is there. Called when the triggers are made over states of
-- before, and again when all transactions that began before are over: what they changed was not
-- captured.
CREATE OR REPLACE FUNCTION pgflow.refresh() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM pgflow.refresh_share(0, 1);
  PERFORM pgflow.refresh_publications();
END $$;

-- Before version 14: lets the messages through, which are rows there.
CREATE OR REPLACE FUNCTION pgflow.publish_messages(publication text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_publication_tables t WHERE t.pubname = publication
      AND t.schemaname = 'pgflow' AND t.tablename = 'message') THEN
    EXECUTE format('ALTER PUBLICATION %I ADD TABLE pgflow.message', publication);
  END IF;
END $$;
