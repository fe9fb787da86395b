-- The number of the subtransaction that runs; no function tells it.
CREATE OR REPLACE FUNCTION pgflow.subtransaction() RETURNS xid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  place tid;
  number xid;
BEGIN
  INSERT INTO pgflow.writer DEFAULT VALUES RETURNING ctid, xmin INTO place, number;
  DELETE FROM pgflow.writer WHERE ctid = place;
  RETURN number;
END $$;

-- A message begins with the secret and the subtransaction that writes it: of a transaction that is
-- sent before its end the server tells the top one alone, which says nothing of a rollback to a
-- savepoint.
CREATE OR REPLACE FUNCTION pgflow.emit(prefix text, content jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  bytes bytea;
BEGIN
  bytes := convert_to((SELECT secret FROM pgflow.capture_secret) || pgflow.subtransaction()::text
    || ' ' || content::text, 'UTF8');
  IF current_setting('server_version_num')::int >= 140000 THEN
    PERFORM pg_logical_emit_message(true, 'pgflow.' || prefix, bytes);
    -- A message has the LSN of its end, which is where the next record begins. Among changes of the
    -- same LSN the decoder does not keep a subtransaction's, as this is one, before its parent's.
    PERFORM pg_logical_emit_message(true, 'pgflow', '');
    RETURN;
  END IF;
  INSERT INTO pgflow.message VALUES ('pgflow.' || prefix, bytes);
  DELETE FROM pgflow.message;
END $$;

-- Whether a capture is under way in this transaction: its own commands are not captured. The value
-- is the secret, so that nobody else can say so.
CREATE OR REPLACE FUNCTION pgflow.is_busy() RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN (SELECT coalesce(current_setting('pgflow.busy', true), '') = secret FROM pgflow.capture_secret);
END $$;
CREATE OR REPLACE FUNCTION pgflow.set_busy(busy boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM set_config('pgflow.busy', CASE WHEN busy THEN secret ELSE '' END, true)
  FROM pgflow.capture_secret;
END $$;
