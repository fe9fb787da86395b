-- Takes everything away when no pipeline is left. The schema stays where others keep something in
-- it.
CREATE OR REPLACE FUNCTION pgflow.remove_capture() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  routine regprocedure;
BEGIN
  IF EXISTS (SELECT FROM pgflow.capture_pipeline) THEN RETURN; END IF;
  DROP EVENT TRIGGER IF EXISTS pgflow_capture_start;
  DROP EVENT TRIGGER IF EXISTS pgflow_capture_rewrite;
  DROP EVENT TRIGGER IF EXISTS pgflow_capture_drop;
  DROP EVENT TRIGGER IF EXISTS pgflow_capture;
  DROP TABLE pgflow.capture_pipeline, pgflow.capture_secret, pgflow.object_state,
    pgflow.joining_table, pgflow.message, pgflow.command_note, pgflow.writer;
  FOR routine IN SELECT oid FROM pg_proc WHERE pronamespace = 'pgflow'::regnamespace LOOP
    EXECUTE format('DROP FUNCTION %s', routine);
  END LOOP;
  IF NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = 'pgflow'::regnamespace) THEN
    DROP SCHEMA pgflow;
  END IF;
END $$;
