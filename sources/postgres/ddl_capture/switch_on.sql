REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA pgflow FROM PUBLIC;
-- Nor anybody else whom default privileges let in: what is here is believed, and called with a
-- superuser's rights. The secret's readers were chosen one by one.
DO $$
DECLARE
  open record;
BEGIN
  FOR open IN
    SELECT 'TABLE' AS kind, c.oid::regclass::text AS name, a.grantee, a.privilege_type AS privilege
    FROM pg_class c CROSS JOIN aclexplode(c.relacl) a
    WHERE c.relnamespace = 'pgflow'::regnamespace AND c.relname IN ('capture_pipeline',
      'capture_secret', 'object_state', 'joining_table', 'message', 'command_note', 'writer')
    AND a.grantee <> c.relowner
    AND NOT (c.relname = 'capture_secret' AND a.privilege_type = 'SELECT' AND a.grantee <> 0)
    UNION ALL SELECT 'FUNCTION', p.oid::regprocedure::text, a.grantee, a.privilege_type
    FROM pg_proc p CROSS JOIN aclexplode(p.proacl) a
    WHERE p.pronamespace = 'pgflow'::regnamespace AND a.grantee <> p.proowner
    UNION ALL SELECT 'SCHEMA', 'pgflow', a.grantee, a.privilege_type
    FROM pg_namespace n CROSS JOIN aclexplode(n.nspacl) a
    WHERE n.nspname = 'pgflow' AND a.grantee <> n.nspowner AND a.privilege_type = 'CREATE'
  LOOP
    EXECUTE format('REVOKE %s ON %s %s FROM %s CASCADE', open.privilege, open.kind, open.name,
      CASE WHEN open.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(open.grantee)) END);
  END LOOP;
END $$;
DROP TRIGGER IF EXISTS join_publication ON pgflow.joining_table;
CREATE CONSTRAINT TRIGGER join_publication AFTER INSERT ON pgflow.joining_table
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pgflow.join_publication();
ALTER TABLE pgflow.joining_table ENABLE ALWAYS TRIGGER join_publication;
CREATE EVENT TRIGGER pgflow_capture_start ON ddl_command_start EXECUTE FUNCTION pgflow.capture_start();
CREATE EVENT TRIGGER pgflow_capture_rewrite ON table_rewrite EXECUTE FUNCTION pgflow.capture_rewrite();
CREATE EVENT TRIGGER pgflow_capture_drop ON sql_drop EXECUTE FUNCTION pgflow.capture_drop();
CREATE EVENT TRIGGER pgflow_capture ON ddl_command_end EXECUTE FUNCTION pgflow.capture();
ALTER EVENT TRIGGER pgflow_capture_start ENABLE ALWAYS;
ALTER EVENT TRIGGER pgflow_capture_rewrite ENABLE ALWAYS;
ALTER EVENT TRIGGER pgflow_capture_drop ENABLE ALWAYS;
ALTER EVENT TRIGGER pgflow_capture ENABLE ALWAYS;
