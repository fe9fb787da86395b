-- date, timestamp and timestamptz with infinities, BC and the last year; time 24:00, timetz with
-- seconds in its offset, intervals with months, days and microseconds kept apart.
--- schema
CREATE TABLE times (id int PRIMARY KEY, d date, ts timestamp, tz timestamptz, t time, tt timetz,
  i interval, t3 timestamp(3), it interval hour to minute);
--- rows
INSERT INTO times VALUES
  (1, 'infinity', 'infinity', 'infinity', '24:00:00', '24:00:00-15:59:59', '178000000 years', '2000-01-01 00:00:00.1239', '5 hours 7 minutes'),
  (2, '-infinity', '-infinity', '-infinity', '00:00', '00:00:00+15:59:59', '-178000000 years', NULL, NULL),
  (3, '4713-01-01 BC', '4713-01-01 00:00:00 BC', '4713-01-02 00:00:00+00 BC', '23:59:59.999999', '12:00:00.000001+05:30', '1 mon -1 day 00:00:00.000001', NULL, NULL),
  (4, '5874897-12-31', '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999999+00', NULL, NULL, '-1 mon 30 days -86400 seconds', NULL, NULL),
  (5, '1582-10-10', '1582-10-10 00:00:00', '1582-10-10 00:00:00+00', '12:34:56', '12:34:56-08', '0', NULL, NULL);
--- change
UPDATE times SET i = i + '1 microsecond', t = '00:00:00.000001' WHERE id IN (3, 5);
UPDATE times SET ts = ts + '1 day', tz = '2038-01-19 03:14:08+00' WHERE id = 5;
