-- The relations that a GRANT or REVOKE names, by their last names, when its text is that one command
-- and says so in plain words; NULL: any other text (quoted names, ALL TABLES, several commands).
CREATE OR REPLACE FUNCTION pgflow.granted_names(query text) RETURNS name[]
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  named text := substring(query FROM
    '^\s*(?:[Gg][Rr][Aa][Nn][Tt]|[Rr][Ee][Vv][Oo][Kk][Ee])\s[A-Za-z0-9_$\s,()]*?\s[Oo][Nn]\s+'
    '(?:(?:[Tt][Aa][Bb][Ll][Ee]|[Ss][Ee][Qq][Uu][Ee][Nn][Cc][Ee])\s+)?'
    '([A-Za-z_][A-Za-z0-9_$.]*(?:\s*,\s*[A-Za-z_][A-Za-z0-9_$.]*)*)'
    '\s+(?:[Tt][Oo]|[Ff][Rr][Oo][Mm])\s[^;]*;?\s*$');
BEGIN
  RETURN (SELECT array_agg(lower(substring(n FROM '[^.]*$'))::name)
    FROM regexp_split_to_table(named, '\s*,\s*') n);
END $$;

-- Objects whose owner or privileges are not those of their stored state, among those that this
-- subtransaction has written. `kind`: what the command names; only that catalog is read. NULL: all.
CREATE OR REPLACE FUNCTION pgflow.changed_rights(
  kind text, with_columns boolean, subtransaction xid)
RETURNS TABLE (of_class oid, of_object oid)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off AS $$
  WITH written AS MATERIALIZED (
    SELECT 'pg_class'::regclass::oid AS class, oid, relowner AS owner, relacl AS acl FROM pg_class
    WHERE coalesce(kind IN ('TABLE', 'COLUMN', 'SEQUENCE'), true)
    AND xmin = subtransaction AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
    UNION ALL SELECT 'pg_type'::regclass, oid, typowner, typacl FROM pg_type
    WHERE coalesce(kind IN ('TYPE', 'DOMAIN'), true) AND xmin = subtransaction
    UNION ALL SELECT 'pg_proc'::regclass, oid, proowner, proacl FROM pg_proc
    WHERE coalesce(kind IN ('FUNCTION', 'PROCEDURE', 'ROUTINE'), true) AND xmin = subtransaction
    UNION ALL SELECT 'pg_namespace'::regclass, oid, nspowner, nspacl FROM pg_namespace
    WHERE coalesce(kind = 'SCHEMA', true) AND xmin = subtransaction
  ), written_column AS MATERIALIZED (
    SELECT attrelid, attnum, attacl FROM pg_attribute
    WHERE with_columns AND xmin = subtransaction AND attnum > 0
  )
  SELECT s.class, s.object FROM written o
  JOIN pgflow.object_state s ON o.class = s.class AND o.oid = s.object
  WHERE s.state ->> 'owner' <> pg_get_userbyid(o.owner)
  OR s.state -> 'grants' <> pgflow.acl(o.acl)
  OR s.state -> 'default_grants' <> to_jsonb(o.acl IS NULL)
  -- What is taken from a table is taken from its columns as well.
  OR jsonb_path_exists(s.state, '$.columns[*].grants')
  UNION
  SELECT s.class, s.object FROM written_column a
  JOIN pgflow.object_state s ON s.class = 'pg_class'::regclass AND s.object = a.attrelid
  WHERE EXISTS (SELECT FROM jsonb_array_elements(s.state -> 'columns') c
    WHERE (c ->> 'number')::int = a.attnum
    AND coalesce(c -> 'grants', '[]') <> pgflow.acl(a.attacl))
  ORDER BY 1, 2
$$;

-- The same among relations of these names, whatever their number and that of all others.
CREATE OR REPLACE FUNCTION pgflow.changed_rights_of(names name[], subtransaction xid)
RETURNS TABLE (of_class oid, of_object oid)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
  SELECT 'pg_class'::regclass::oid, c.oid FROM pg_class c
  WHERE c.relname = ANY (names) AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
  AND (c.xmin = subtransaction OR EXISTS (SELECT FROM pg_attribute a
    WHERE a.attrelid = c.oid AND a.xmin = subtransaction))
  ORDER BY 1, 2
$$;

CREATE OR REPLACE FUNCTION pgflow.emit_failure(tag text, error text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
  SELECT pgflow.emit('ddl', jsonb_build_object('tag', tag, 'error', error,
    'query', left(current_query(), 10000)))
$$;
