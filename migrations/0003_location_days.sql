-- The days of driver_locations are made and dropped by functions of the tables' owner, so that the service's role need not own
-- anything: who may INSERT into history may have a day made, who may DELETE from it may have one dropped.
-- A table driver_locations_YYYYMMDD that is no partition was detached by hand and is left alone, unless its comment says that
-- retention had begun to drop it.

CREATE FUNCTION waybill_require_right(wanted text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    caller text := COALESCE(NULLIF(current_setting('role'), 'none'), session_user);
BEGIN
    IF NOT has_table_privilege(caller, 'driver_locations', wanted) THEN
        RAISE EXCEPTION 'role % lacks % on driver_locations', caller, wanted
            USING ERRCODE = 'insufficient_privilege', TABLE = 'driver_locations';
    END IF;
END $$;

-- What the catalog knows of a day's table; no row: there is none.
CREATE FUNCTION waybill_find_day(day date, OUT name text, OUT kind "char", OUT attached boolean, OUT detaching boolean,
                                 OUT doomed boolean) RETURNS SETOF record LANGUAGE sql STABLE AS $$
    SELECT c.relname::text, c.relkind, i.inhparent IS NOT DISTINCT FROM p.oid, COALESCE(i.inhdetachpending, false),
           COALESCE(obj_description(c.oid, 'pg_class') = 'waybill: to be dropped', false)
    FROM pg_class p JOIN pg_class c USING (relnamespace) LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
    WHERE p.oid = 'driver_locations'::regclass AND c.relname = 'driver_locations_' || to_char(day, 'YYYYMMDD')
$$;

-- Makes and attaches the partition of a UTC day; false: it is there. 55000: it is left alone.
-- CREATE TABLE ... PARTITION OF would lock the whole table against writers, ATTACH does not. The advisory lock is for processes
-- that make the same day at the same time. Vacuuming follows the inserts closely, since reads by the key alone need its note
-- that a page is visible to all. What a DEFAULT partition holds of the day is moved; that it is locked meanwhile stops only who
-- writes to it or reads it.
CREATE FUNCTION waybill_attach_day(day date) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
    SET lock_timeout = '2s' AS $$
DECLARE
    there    record;
    name     text := 'driver_locations_' || to_char(day, 'YYYYMMDD');
    midnight text := to_char(day, 'YYYY-MM-DD') || ' 00:00:00+00';
    next     text := to_char(day + 1, 'YYYY-MM-DD') || ' 00:00:00+00';
    rest     regclass;
    columns  text := 'recorded_at, received_at, lat, long, accuracy_m, heading_deg, speed_mps, marks, driver_id';
BEGIN
    PERFORM waybill_require_right('INSERT');
    PERFORM pg_advisory_xact_lock(hashtext('waybill driver_locations partitions'));
    SELECT * INTO there FROM waybill_find_day(day);
    IF NOT FOUND THEN
        EXECUTE format('CREATE TABLE %I (LIKE driver_locations INCLUDING ALL) '
                       'WITH (autovacuum_vacuum_insert_scale_factor = 0.02)', name);
    ELSIF there.attached AND NOT there.detaching THEN
        IF there.doomed THEN  -- lest it be dropped when somebody detaches it by hand
            EXECUTE format('COMMENT ON TABLE %I IS NULL', name);
        END IF;
        RETURN false;
    ELSIF NOT there.doomed THEN
        RAISE EXCEPTION 'table % is not attached, or being detached, by hand; it is left alone', name
            USING ERRCODE = 'object_not_in_prerequisite_state', TABLE = name;
    ELSE  -- retention began to drop it, and has since been raised
        IF there.detaching THEN
            EXECUTE format('ALTER TABLE driver_locations DETACH PARTITION %I FINALIZE', name);
        END IF;
        EXECUTE format('COMMENT ON TABLE %I IS NULL', name);
    END IF;
    SELECT partdefid INTO rest FROM pg_partitioned_table WHERE partrelid = 'driver_locations'::regclass AND partdefid <> 0;
    IF rest IS NOT NULL THEN
        EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', rest);
        EXECUTE format('WITH moved AS (DELETE FROM %s WHERE recorded_at >= %L AND recorded_at < %L RETURNING *) '
                       'INSERT INTO %I (%s) SELECT %s FROM moved ON CONFLICT DO NOTHING',
                       rest, midnight, next, name, columns, columns);
    END IF;
    EXECUTE format('ALTER TABLE driver_locations ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name, midnight, next);
    RETURN true;
END $$;

-- Drops a day with all that is in it; false: there is none, or it is left alone. DETACH ... CONCURRENTLY may not stand in a
-- function, nor beside a DEFAULT partition. This one needs the table for itself for a moment: it gives up soon (55P03), since
-- everybody else queues behind it.
CREATE FUNCTION waybill_drop_day(day date) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
    SET lock_timeout = '300ms' AS $$
DECLARE
    there record;
BEGIN
    PERFORM waybill_require_right('DELETE');
    SELECT * INTO there FROM waybill_find_day(day);
    IF NOT FOUND OR there.kind NOT IN ('r', 'p') OR NOT (there.attached OR there.doomed) THEN
        RETURN false;
    END IF;
    IF there.attached THEN
        EXECUTE format('ALTER TABLE driver_locations DETACH PARTITION %I %s', there.name,
                       CASE WHEN there.detaching THEN 'FINALIZE' ELSE '' END);
    END IF;
    EXECUTE format('DROP TABLE %I', there.name);
    RETURN true;
END $$;

-- Deletes rows before `oldest` from the DEFAULT partition, and answers how many: fewer than `at_most` when none are left.
CREATE FUNCTION waybill_trim_default(oldest timestamptz, at_most integer) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
    SET lock_timeout = '2s' AS $$
DECLARE
    rest    regclass;
    deleted bigint;
BEGIN
    PERFORM waybill_require_right('DELETE');
    SELECT c.oid INTO rest FROM pg_partitioned_table p JOIN pg_class c ON c.oid = p.partdefid
        WHERE p.partrelid = 'driver_locations'::regclass AND c.relkind = 'r';
    IF rest IS NULL THEN
        RETURN 0;
    END IF;
    EXECUTE format('DELETE FROM %s WHERE ctid = ANY (ARRAY(SELECT ctid FROM %s WHERE recorded_at < $1 LIMIT $2))', rest, rest)
        USING oldest, at_most;
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted;
END $$;

-- An owner's function finds its tables where they are, whatever its caller's search_path says.
DO $$
DECLARE
    signature text;
BEGIN
    FOREACH signature IN ARRAY ARRAY['waybill_require_right(text)', 'waybill_find_day(date)', 'waybill_attach_day(date)',
                                     'waybill_drop_day(date)', 'waybill_trim_default(timestamptz, integer)'] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', signature, current_schema());
    END LOOP;
END $$;
