-- A driver's active orders never outgrow his capacity, also when it is lowered under them.
-- A unique index lets one active order have a slot, and a trigger keeps slots within the capacity; so, while no order has a
-- slot beyond the capacity, there are no more orders than it allows. What follows is for when the capacity is lowered: the
-- active orders move down into the slots from 1 on. If they still are more than the driver may have, they keep those slots,
-- and all within the capacity are taken; whenever one of them is given back the others move down again. Orders of other
-- drivers pay for one condition that looks at no table.

ALTER TABLE order_assignments ADD COLUMN crowded boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN order_assignments.crowded IS
    'The driver had more active orders than his capacity when it was lowered: when this one is given back, the others move down.';

-- Functions find their tables also where search_path is empty: a dump of the data alone is loaded like that.
CREATE OR REPLACE FUNCTION order_assignments_check_capacity() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    allowed integer;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.released_at IS NULL AND OLD.driver_id = NEW.driver_id AND NEW.slot <= OLD.slot THEN
            RETURN NEW;  -- moves down
        END IF;
    END IF;
    -- Whoever lowers the capacity waits for us, or we for him.
    SELECT capacity INTO allowed FROM drivers WHERE driver_id = NEW.driver_id FOR SHARE;
    IF NEW.slot > COALESCE(allowed, 1) THEN
        -- A slot that is not there is as one that is taken: the claim is lost to it.
        RAISE EXCEPTION 'driver % has no slot %', NEW.driver_id, NEW.slot
            USING ERRCODE = 'unique_violation', CONSTRAINT = 'order_assignments_within_capacity', TABLE = 'order_assignments';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION order_assignments_move_down(driver text) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    active record;
    held integer;
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'capacities are changed under READ COMMITTED: orders that come meanwhile must be seen'
            USING ERRCODE = 'feature_not_supported';
    END IF;
    FOR attempt IN 1..100 LOOP
        BEGIN
            held := 0;
            FOR active IN SELECT order_id, slot FROM order_assignments
                WHERE driver_id = driver AND released_at IS NULL ORDER BY slot FOR UPDATE
            LOOP
                held := held + 1;
                IF active.slot > held THEN
                    UPDATE order_assignments SET slot = held WHERE order_id = active.order_id;
                END IF;
            END LOOP;
            IF held > COALESCE((SELECT capacity FROM drivers WHERE driver_id = driver), 1) THEN
                UPDATE order_assignments SET crowded = true
                    WHERE driver_id = driver AND released_at IS NULL AND NOT crowded;
            END IF;
            RETURN;
        EXCEPTION WHEN unique_violation THEN
            NULL;  -- an order came into a free slot meanwhile: now it is seen
        END;
    END LOOP;
    RAISE EXCEPTION 'the orders of driver % do not stand still', driver USING ERRCODE = 'lock_not_available';
END $$;

CREATE FUNCTION drivers_make_room() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        PERFORM order_assignments_move_down(driver_id)
            FROM (SELECT DISTINCT driver_id FROM order_assignments WHERE released_at IS NULL AND slot > 1) AS several;
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM order_assignments_move_down(OLD.driver_id);
    ELSIF NEW.driver_id <> OLD.driver_id OR NEW.capacity < OLD.capacity THEN
        PERFORM order_assignments_move_down(OLD.driver_id);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER drivers_lowered AFTER UPDATE OR DELETE ON drivers FOR EACH ROW EXECUTE FUNCTION drivers_make_room();
CREATE TRIGGER drivers_truncated AFTER TRUNCATE ON drivers FOR EACH STATEMENT EXECUTE FUNCTION drivers_make_room();

CREATE FUNCTION order_assignments_close_ranks() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.released_at IS NULL AND NEW.driver_id = OLD.driver_id AND NEW.slot <= OLD.slot THEN
            RETURN NULL;  -- moved down itself
        END IF;
    END IF;
    PERFORM order_assignments_move_down(OLD.driver_id);
    RETURN NULL;
END $$;
CREATE TRIGGER order_assignments_given_back AFTER UPDATE OR DELETE ON order_assignments FOR EACH ROW
    WHEN (OLD.crowded AND OLD.released_at IS NULL) EXECUTE FUNCTION order_assignments_close_ranks();

CREATE FUNCTION order_assignments_refuse_room() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'order % stays marked as one of too many until it is given back', OLD.order_id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'order_assignments_stays_crowded', TABLE = 'order_assignments';
END $$;
CREATE TRIGGER order_assignments_stays_crowded BEFORE UPDATE ON order_assignments FOR EACH ROW
    WHEN (OLD.crowded AND NOT NEW.crowded) EXECUTE FUNCTION order_assignments_refuse_room();

-- Where a capacity was lowered before this migration.
SELECT order_assignments_move_down(driver_id)
    FROM (SELECT DISTINCT driver_id FROM order_assignments WHERE released_at IS NULL AND slot > 1) AS several;
