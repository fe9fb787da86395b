-- INSERT ... ON CONFLICT that finds its conflict only after it has written its row: the row is taken
-- back in the log. An index that calls a function lets another session be faster, each time.
--- needs: extension dblink
--- schema
CREATE TABLE raced (id int, v text, large text);
CREATE FUNCTION let_another_be_faster(id int, v text) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
  -- The check before the row is written asks unique indexes only.
  IF v = 'slow' THEN
    PERFORM dblink_exec(format('host=127.0.0.1 port=%s user=postgres dbname=%s', current_setting('port'), current_database()),
      format('INSERT INTO public.raced VALUES (%s, ''fast'', repeat(''f'', 5000))', id));
  END IF;
  RETURN id; END $$;
CREATE INDEX first_of_all ON raced (let_another_be_faster(id, v));
ALTER TABLE raced ADD PRIMARY KEY (id);
--- rows
INSERT INTO raced VALUES (1, 'slow', repeat('s', 5000)) ON CONFLICT (id) DO UPDATE SET v = raced.v || ', then updated';
--- change
INSERT INTO raced VALUES (2, 'slow', repeat('s', 5000)) ON CONFLICT (id) DO UPDATE SET v = raced.v || ', then updated';
--- change
INSERT INTO raced VALUES (3, 'slow', repeat('s', 5000)) ON CONFLICT DO NOTHING; INSERT INTO raced VALUES (4, 'behind it', '');
