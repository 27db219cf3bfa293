-- A driver who is off duty may hold no order: his capacity is 0, and the orders that he has are too many, as after any
-- lowering (0005). Nothing else is needed for slots above 1, whose check reads the capacity. Slot 1 has no check, since
-- each order would pay for it; so a row of the driver's own keeps it, and a claim meets that in the index of the slots, as
-- it would meet another order. It comes as soon as the driver holds nothing, and goes when he is on duty again. Claims and
-- this row wait for each other there, so that whichever comes second sees the other one.

ALTER TABLE drivers ADD COLUMN capacity_on_duty smallint;
ALTER TABLE drivers DROP CONSTRAINT drivers_capacity_range;
ALTER TABLE drivers
    ADD CONSTRAINT drivers_capacity_range CHECK (capacity BETWEEN 0 AND 1000 AND capacity_on_duty BETWEEN 1 AND 1000),
    ADD CONSTRAINT drivers_capacity_kept_off_duty CHECK ((capacity = 0) = (capacity_on_duty IS NOT NULL));
COMMENT ON TABLE drivers IS 'Drivers who may hold more than one active order, or none; any other driver has a capacity of one.';
COMMENT ON COLUMN drivers.capacity IS 'Active orders the driver may be given at a time; 0: he is off duty.';
COMMENT ON COLUMN drivers.capacity_on_duty IS 'While he is off duty: what his capacity is when he is on duty again.';

ALTER TABLE order_assignments ADD COLUMN off_duty boolean NOT NULL DEFAULT false;
ALTER TABLE order_assignments ADD CONSTRAINT order_assignments_off_duty_keeper
    CHECK (NOT off_duty OR (slot = 1 AND order_id = md5('off duty ' || driver_id)::uuid));
COMMENT ON COLUMN order_assignments.off_duty IS
    'No order: this keeps slot 1 of a driver who is off duty and holds nothing. order_id is made from the driver''s.';

-- As in 0005, and in the end the row of a driver who is off duty comes or goes.
CREATE OR REPLACE FUNCTION order_assignments_move_down(driver text) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    active record;
    held integer;
    allowed integer;
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'capacities are changed under READ COMMITTED: orders that come meanwhile must be seen'
            USING ERRCODE = 'feature_not_supported';
    END IF;
    FOR attempt IN 1..100 LOOP
        BEGIN
            held := 0;
            FOR active IN SELECT order_id, slot FROM order_assignments
                WHERE driver_id = driver AND released_at IS NULL AND NOT off_duty ORDER BY slot FOR UPDATE
            LOOP
                held := held + 1;
                IF active.slot > held THEN
                    UPDATE order_assignments SET slot = held WHERE order_id = active.order_id;
                END IF;
            END LOOP;
            allowed := COALESCE((SELECT capacity FROM drivers WHERE driver_id = driver), 1);
            IF held > allowed THEN
                UPDATE order_assignments SET crowded = true
                    WHERE driver_id = driver AND released_at IS NULL AND NOT crowded AND NOT off_duty;
            ELSIF allowed = 0 THEN
                INSERT INTO order_assignments (order_id, driver_id, assigned_at, off_duty)
                    VALUES (md5('off duty ' || driver)::uuid, driver, now(), true)
                    ON CONFLICT (order_id) DO UPDATE SET assigned_at = now(), released_at = NULL
                    WHERE order_assignments.released_at IS NOT NULL;
            END IF;
            IF allowed > 0 THEN
                UPDATE order_assignments SET released_at = now()
                    WHERE driver_id = driver AND released_at IS NULL AND off_duty;
            END IF;
            RETURN;
        EXCEPTION WHEN unique_violation THEN
            NULL;  -- an order came into a free slot meanwhile: now it is seen
        END;
    END LOOP;
    RAISE EXCEPTION 'the orders of driver % do not stand still', driver USING ERRCODE = 'lock_not_available';
END $$;

CREATE OR REPLACE FUNCTION drivers_make_room() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        PERFORM order_assignments_move_down(driver_id) FROM (SELECT DISTINCT driver_id FROM order_assignments
            WHERE released_at IS NULL AND (slot > 1 OR off_duty)) AS several;
    ELSIF TG_OP = 'INSERT' THEN
        PERFORM order_assignments_move_down(NEW.driver_id);
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM order_assignments_move_down(OLD.driver_id);
    ELSE
        IF NEW.driver_id <> OLD.driver_id OR NEW.capacity < OLD.capacity OR OLD.capacity = 0 THEN
            PERFORM order_assignments_move_down(OLD.driver_id);
        END IF;
        IF NEW.driver_id <> OLD.driver_id AND NEW.capacity = 0 THEN
            PERFORM order_assignments_move_down(NEW.driver_id);
        END IF;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER drivers_come_off_duty AFTER INSERT ON drivers FOR EACH ROW
    WHEN (NEW.capacity = 0) EXECUTE FUNCTION drivers_make_room();

-- Who takes that row away by hand has not put the driver on duty: it comes back.
CREATE OR REPLACE FUNCTION order_assignments_close_ranks() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        PERFORM order_assignments_move_down(driver_id) FROM drivers WHERE capacity = 0;
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        IF NEW.released_at IS NULL AND NEW.driver_id = OLD.driver_id AND NEW.slot <= OLD.slot THEN
            RETURN NULL;  -- moved down itself
        END IF;
    END IF;
    PERFORM order_assignments_move_down(OLD.driver_id);
    RETURN NULL;
END $$;
CREATE TRIGGER order_assignments_kept_off_duty AFTER UPDATE OR DELETE ON order_assignments FOR EACH ROW
    WHEN (OLD.off_duty AND OLD.released_at IS NULL) EXECUTE FUNCTION order_assignments_close_ranks();
CREATE TRIGGER order_assignments_truncated AFTER TRUNCATE ON order_assignments FOR EACH STATEMENT
    EXECUTE FUNCTION order_assignments_close_ranks();
