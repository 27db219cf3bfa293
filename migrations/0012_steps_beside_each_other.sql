-- In the order in which readers of the view lock: it, then its tables. Otherwise a gauge and this could wait for each other.
LOCK TABLE all_sagas IN ACCESS EXCLUSIVE MODE;

-- Steps that are done at the same time: where each of them stands, while its group is being done or undone. NULL: the step that
-- the row names is alone, or all of the group are open (to be done, or to be undone).
ALTER TABLE order_sagas ADD COLUMN branches jsonb;
ALTER TABLE sagas ADD COLUMN branches jsonb;
COMMENT ON COLUMN order_sagas.branches IS 'Where each of the steps stands that are done at the same time, while they are: [{"step", "state": open|waiting|done|nothing, "attempt", "token", "until"}].';
COMMENT ON COLUMN sagas.branches IS 'See order_sagas.branches.';
COMMENT ON COLUMN sagas.waits_for IS 'step/action/token of the signal that it waits for, or several with spaces between; of what it waited for when it was claimed.';

-- Which steps are done at the same time as the one before them; NULL: none.
ALTER TABLE saga_definitions ADD COLUMN beside boolean[];

CREATE OR REPLACE VIEW all_sagas AS
    SELECT order_id AS saga_id, 'place_order'::text COLLATE "C" AS kind, version, state, step, attempt, seq, needs_attention,
           failure_reason, failure_detail, owner, epoch, lease_until, waits_for, wakes_at, traceparent, created_at, updated_at,
           branches
    FROM order_sagas
    UNION ALL
    SELECT saga_id, kind, version, state, step, attempt, seq, needs_attention,
           failure_reason, failure_detail, owner, epoch, lease_until, waits_for, wakes_at, traceparent, created_at, updated_at,
           branches
    FROM sagas;
