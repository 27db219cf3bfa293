-- The order half: one saga an order, its log, its payment, its driver.
-- Names of constraints are part of the product: an operator meets them in errors.
-- Keys are compared by bytes (COLLATE "C"): faster, and no upgrade of the operating system's collations can break an index.
-- There are no foreign keys between these tables: every row is written together with its saga's header by one statement,
-- and a foreign key's per-row trigger would cost more than the row.

CREATE TYPE saga_state AS ENUM ('running', 'succeeded', 'closed', 'compensating', 'compensated', 'resolved');

CREATE TABLE order_sagas (
    order_id         uuid        NOT NULL,
    client           text        COLLATE "C" NOT NULL,
    idempotency_key  text        COLLATE "C" NOT NULL,
    fingerprint      bytea       NOT NULL,
    user_id          text        COLLATE "C" NOT NULL,
    amount_minor     bigint      NOT NULL,
    currency         text        NOT NULL,
    pickup_lat       double precision,
    pickup_long      double precision,
    metadata         jsonb,
    state            saga_state  NOT NULL DEFAULT 'running',
    step             smallint    NOT NULL DEFAULT 0,
    attempt          integer     NOT NULL DEFAULT 1,
    seq              bigint      NOT NULL DEFAULT 0,
    needs_attention  boolean     NOT NULL DEFAULT false,
    failure_reason   text,
    failure_detail   text,
    owner            text,
    epoch            bigint      NOT NULL DEFAULT 1,
    lease_until      timestamptz,
    traceparent      text,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    CONSTRAINT order_sagas_pkey PRIMARY KEY (order_id),
    CONSTRAINT order_sagas_idempotency_key UNIQUE (client, idempotency_key),
    CONSTRAINT order_sagas_key_length CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    CONSTRAINT order_sagas_amount_positive CHECK (amount_minor > 0),
    CONSTRAINT order_sagas_currency_iso4217 CHECK (length(currency) = 3),
    CONSTRAINT order_sagas_pickup_whole CHECK ((pickup_lat IS NULL) = (pickup_long IS NULL)),
    CONSTRAINT order_sagas_lease_while_unfinished CHECK ((lease_until IS NOT NULL) = (state IN ('running', 'compensating'))),
    CONSTRAINT order_sagas_turned_back_for_a_reason CHECK (state NOT IN ('compensating', 'compensated', 'resolved') OR failure_reason IS NOT NULL)
) WITH (fillfactor = 80);

-- What recovery, the gauges and the operator's list look for. Small: finished sagas leave it.
CREATE INDEX order_sagas_unfinished ON order_sagas (lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX order_sagas_by_user ON order_sagas (user_id, order_id);

CREATE FUNCTION order_sagas_refuse_backward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'order % may not go from state % (seq %, epoch %) to % (seq %, epoch %)',
        OLD.order_id, OLD.state, OLD.seq, OLD.epoch, NEW.state, NEW.seq, NEW.epoch
        USING ERRCODE = 'check_violation', CONSTRAINT = 'order_sagas_only_forward', TABLE = 'order_sagas';
END $$;

-- The condition stands in WHEN, so that the ordinary update pays for one expression and no function call.
CREATE TRIGGER order_sagas_only_forward BEFORE UPDATE ON order_sagas FOR EACH ROW
    WHEN (NEW.state < OLD.state OR NEW.seq < OLD.seq OR NEW.epoch < OLD.epoch
          OR (OLD.state IN ('closed', 'compensated', 'resolved') AND NEW.state <> OLD.state))
    EXECUTE FUNCTION order_sagas_refuse_backward();

CREATE TABLE order_saga_steps (
    order_id  uuid        NOT NULL,
    seq       bigint      NOT NULL,
    step      text        NOT NULL,
    attempt   integer     NOT NULL,
    outcome   text        NOT NULL,
    state     saga_state  NOT NULL,
    detail    text,
    at        timestamptz NOT NULL,
    CONSTRAINT order_saga_steps_pkey PRIMARY KEY (order_id, seq),
    CONSTRAINT order_saga_steps_outcome CHECK (outcome IN ('succeeded', 'rejected', 'unknown', 'undone', 'undo_failed',
        'cancelled', 'recovered', 'needs_attention', 'closed', 'resolved'))
);

CREATE FUNCTION order_saga_steps_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the log of order % is append-only', OLD.order_id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'order_saga_steps_append_only', TABLE = 'order_saga_steps';
END $$;
CREATE TRIGGER order_saga_steps_append_only BEFORE UPDATE ON order_saga_steps FOR EACH ROW
    EXECUTE FUNCTION order_saga_steps_refuse_change();

CREATE TABLE payments (
    order_id           uuid        NOT NULL,
    amount_minor       bigint      NOT NULL,
    currency           text        NOT NULL,
    gateway_reference  text        NOT NULL,
    charged_at         timestamptz NOT NULL,
    refund_minor       bigint,
    refunded_at        timestamptz,
    CONSTRAINT payments_one_an_order PRIMARY KEY (order_id),
    CONSTRAINT payments_amount_positive CHECK (amount_minor > 0),
    CONSTRAINT payments_refund_within_charge CHECK (refund_minor BETWEEN 1 AND amount_minor),
    CONSTRAINT payments_refund_whole CHECK ((refund_minor IS NULL) = (refunded_at IS NULL))
) WITH (fillfactor = 90);

CREATE TABLE drivers (
    driver_id  text     COLLATE "C" NOT NULL,
    capacity   smallint NOT NULL,
    CONSTRAINT drivers_pkey PRIMARY KEY (driver_id),
    CONSTRAINT drivers_capacity_range CHECK (capacity BETWEEN 1 AND 1000)
);
COMMENT ON TABLE drivers IS 'Drivers that may hold more than one active order; any other driver has a capacity of one.';

CREATE TABLE order_assignments (
    order_id     uuid        NOT NULL,
    driver_id    text        COLLATE "C" NOT NULL,
    slot         smallint    NOT NULL DEFAULT 1,
    assigned_at  timestamptz NOT NULL,
    released_at  timestamptz,
    CONSTRAINT order_assignments_one_driver PRIMARY KEY (order_id),
    CONSTRAINT order_assignments_slot_positive CHECK (slot >= 1)
) WITH (fillfactor = 90);
-- One active order a slot: with the trigger below, no driver holds more than its capacity.
CREATE UNIQUE INDEX order_assignments_slot_taken ON order_assignments (driver_id, slot) WHERE released_at IS NULL;

CREATE FUNCTION order_assignments_check_capacity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.slot > COALESCE((SELECT capacity FROM drivers WHERE driver_id = NEW.driver_id), 1) THEN
        RAISE EXCEPTION 'driver % has no slot %', NEW.driver_id, NEW.slot
            USING ERRCODE = 'check_violation', CONSTRAINT = 'order_assignments_within_capacity', TABLE = 'order_assignments';
    END IF;
    RETURN NEW;
END $$;
-- Not on release: a driver whose capacity was lowered meanwhile must still be able to give the order back.
CREATE TRIGGER order_assignments_within_capacity BEFORE INSERT OR UPDATE ON order_assignments FOR EACH ROW
    WHEN (NEW.slot > 1 AND NEW.released_at IS NULL) EXECUTE FUNCTION order_assignments_check_capacity();
