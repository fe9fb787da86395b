-- One array of all that can be said with GRANT; NULL: the default of the object's kind.
CREATE OR REPLACE FUNCTION pgflow.acl(acl aclitem[]) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF acl IS NULL THEN RETURN '[]'; END IF;
  RETURN (SELECT coalesce(jsonb_agg(jsonb_build_object(
           'role', CASE WHEN a.grantee = 0 THEN 'public' ELSE r.rolname END,
           'public', a.grantee = 0, 'privilege', a.privilege_type, 'grantable', a.is_grantable,
           'by', pg_get_userbyid(a.grantor))
         ORDER BY r.rolname, a.privilege_type, pg_get_userbyid(a.grantor)), '[]')
    FROM aclexplode(acl) a LEFT JOIN pg_authid r ON r.oid = a.grantee);
END $$;

CREATE OR REPLACE FUNCTION pgflow.is_superuser(role oid) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN coalesce((SELECT rolsuper FROM pg_authid WHERE oid = role), false);
END $$;

-- False: nothing is called but nextval, now and casts between the server's own types, as in nearly
-- all defaults. It becomes a part of the query that uses it: 30,000 of them are looked at for 10,000
-- tables.
CREATE OR REPLACE FUNCTION pgflow.calls_more(expression text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
  SELECT expression COLLATE "C" ~ ('n(?:c|o)id (?!(?:1574|1299|480|668|669|1174|'
    '1178|1703|1740|1781|1782|2024|2027|2028) )')
$$;

-- What an expression calls that its owner may have filled with anything, or that does more than
-- compute: on a target it would run with the rights of whoever writes there. NULL: nothing. What a
-- superuser made of a superuser's functions is trusted.
CREATE OR REPLACE FUNCTION pgflow.risk(expression text, owner oid) RETURNS text
LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF expression IS NULL OR NOT pgflow.calls_more(expression) THEN
    RETURN NULL;
  END IF;
  RETURN (SELECT string_agg(DISTINCT p.oid::regprocedure::text, ', ')
    FROM regexp_matches(expression,
      ':(?:funcid|opfuncid|aggfnoid|winfnoid|hashfuncid|negfuncid) (\d+)', 'g') m
    JOIN pg_proc p ON p.oid = m[1]::oid
    WHERE NOT ((p.oid < 16384 OR EXISTS (SELECT FROM pg_depend d
        WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'))
      AND (p.provolatile <> 'v' OR p.proname IN ('nextval', 'random', 'clock_timestamp', 'timeofday',
        'gen_random_uuid', 'uuidv4', 'uuidv7', 'uuid_generate_v1', 'uuid_generate_v1mc',
        'uuid_generate_v4', 'txid_current', 'pg_current_xact_id'))
      AND p.proname !~ '_to_xml')
    AND NOT (pgflow.is_superuser(owner) AND pgflow.is_superuser(p.proowner)));
END $$;
