-- What an order's last update changes is in no index, so that it writes into none (a heap-only update, docs/adr/0034): of the
-- unfinished sagas only those are indexed that are older than a few seconds, and those by `due_at`, when recovery shall look at them.
-- `lease_until` says who may drive a saga, and no index names it.
-- Where there are tens of millions, make the column and the indexes beforehand: see docs/operations.md.

-- In the order in which readers of the view lock: it, then its tables.
LOCK TABLE all_sagas IN ACCESS EXCLUSIVE MODE;

-- The least id (UUIDv7) of a time, and a bound between the ids made before it and after.
CREATE FUNCTION waybill_id_at(at timestamptz) RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '00000000000000000000')::uuid
$$;

-- A version that does not know it leaves it out: then recovery looks at once, and again when the lease is over.
ALTER TABLE order_sagas ADD COLUMN IF NOT EXISTS due_at timestamptz;
ALTER TABLE order_sagas ALTER COLUMN due_at SET DEFAULT now();
ALTER TABLE sagas ADD COLUMN IF NOT EXISTS due_at timestamptz;
ALTER TABLE sagas ALTER COLUMN due_at SET DEFAULT now();
COMMENT ON COLUMN order_sagas.due_at IS 'When recovery looks whether the lease is over; never later than that. NULL: there is no lease, or the order is young, its id above the mark in saga_marks.';
COMMENT ON COLUMN sagas.due_at IS 'See order_sagas.due_at.';

CREATE INDEX IF NOT EXISTS order_sagas_due ON order_sagas (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS order_sagas_wakes ON order_sagas (wakes_at) WHERE wakes_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS sagas_due ON sagas (kind, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS sagas_wakes ON sagas (kind, wakes_at) WHERE wakes_at IS NOT NULL;
-- For lists, in their order.
CREATE INDEX IF NOT EXISTS sagas_due_or_waiting ON sagas (saga_id) WHERE due_at IS NOT NULL OR wakes_at IS NOT NULL;

UPDATE order_sagas SET due_at = lease_until WHERE lease_until IS NOT NULL;
UPDATE sagas SET due_at = lease_until WHERE lease_until IS NOT NULL;

DROP INDEX order_sagas_unfinished, order_sagas_waiting, sagas_unfinished, sagas_waiting, sagas_open;
-- Room for the last update beside the first version of a row.
ALTER TABLE order_sagas SET (fillfactor = 50);
ALTER TABLE sagas SET (fillfactor = 50);

-- What the sweep counts on, whoever updates, an older version or a hand: what has a due_at keeps one while it has a lease, a lease
-- that is given anew or cut short has one, and none is later than its lease. A young saga that goes on or ends meets none of it.
CREATE FUNCTION sagas_due_by_lease() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.due_at := CASE WHEN NEW.lease_until IS NOT NULL THEN LEAST(NEW.due_at, NEW.lease_until) END;
    RETURN NEW;
END $$;
CREATE TRIGGER order_sagas_due_by_lease BEFORE UPDATE ON order_sagas FOR EACH ROW
    WHEN ((NEW.due_at IS NOT NULL AND NEW.lease_until IS NULL) OR NEW.due_at > NEW.lease_until
          OR (NEW.due_at IS NULL AND NEW.lease_until IS NOT NULL
              AND (OLD.due_at IS NOT NULL OR OLD.lease_until IS NULL OR NEW.lease_until < OLD.lease_until)))
    EXECUTE FUNCTION sagas_due_by_lease();
CREATE TRIGGER sagas_due_by_lease BEFORE UPDATE ON sagas FOR EACH ROW
    WHEN ((NEW.due_at IS NOT NULL AND NEW.lease_until IS NULL) OR NEW.due_at > NEW.lease_until
          OR (NEW.due_at IS NULL AND NEW.lease_until IS NOT NULL
              AND (OLD.due_at IS NOT NULL OR OLD.lease_until IS NULL OR NEW.lease_until < OLD.lease_until)))
    EXECUTE FUNCTION sagas_due_by_lease();

CREATE TABLE saga_marks (
    sagas     text        COLLATE "C" NOT NULL,
    mark      uuid        NOT NULL,
    next      uuid        NOT NULL,
    noted     xid8,
    noted_at  timestamptz NOT NULL DEFAULT now(),
    swept_at  timestamptz NOT NULL DEFAULT now(),
    swept_to  uuid,
    CONSTRAINT saga_marks_pkey PRIMARY KEY (sagas),
    CONSTRAINT saga_marks_next_not_before_mark CHECK (next >= mark)
);
COMMENT ON TABLE saga_marks IS 'How far recovery has swept each table of sagas: every one that has a lease and an id up to `mark` has a due_at. The next sweep goes up to `next`, once all transactions up to `noted` have ended; while one is open, what can be seen is swept from `swept_to` on.';
INSERT INTO saga_marks (sagas, mark, next)
    SELECT sagas, waybill_id_at(now()), waybill_id_at(now()) FROM (VALUES ('order_sagas'), ('sagas')) AS t (sagas);

CREATE OR REPLACE VIEW all_sagas AS
    SELECT order_id AS saga_id, 'place_order'::text COLLATE "C" AS kind, version, state, step, attempt, seq, needs_attention,
           failure_reason, failure_detail, owner, epoch, lease_until, waits_for, wakes_at, traceparent, created_at, updated_at,
           branches, due_at
    FROM order_sagas
    UNION ALL
    SELECT saga_id, kind, version, state, step, attempt, seq, needs_attention,
           failure_reason, failure_detail, owner, epoch, lease_until, waits_for, wakes_at, traceparent, created_at, updated_at,
           branches, due_at
    FROM sagas;

-- Those that somebody drives, or should: unfinished, and not waiting. A reader that looks at lease_until alone reads whole tables.
-- The bounds above are for the planner, which takes a range for a small part of the table.
CREATE VIEW leased_sagas AS
    SELECT saga_id, kind, version, state, owner, lease_until, due_at, created_at FROM all_sagas
        WHERE due_at IS NOT NULL AND lease_until IS NOT NULL
    UNION ALL
    SELECT order_id, 'place_order'::text COLLATE "C", version, state, owner, lease_until, due_at, created_at FROM order_sagas
        WHERE due_at IS NULL AND lease_until IS NOT NULL
          AND order_id > COALESCE((SELECT mark FROM saga_marks WHERE sagas = 'order_sagas'), waybill_id_at('epoch'))
          AND order_id <= 'ffffffff-ffff-ffff-ffff-ffffffffffff'
    UNION ALL
    SELECT saga_id, kind, version, state, owner, lease_until, due_at, created_at FROM sagas
        WHERE due_at IS NULL AND lease_until IS NOT NULL
          AND saga_id > COALESCE((SELECT mark FROM saga_marks WHERE sagas = 'sagas'), waybill_id_at('epoch'))
          AND saga_id <= 'ffffffff-ffff-ffff-ffff-ffffffffffff';
