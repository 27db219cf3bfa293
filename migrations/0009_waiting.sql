-- A saga may wait: for a signal, or until its time. Nobody holds it then, so it has no lease; what it waits for stands in its
-- row until the next write, also while somebody has claimed it to go on.
ALTER TABLE order_sagas ADD COLUMN IF NOT EXISTS waits_for text COLLATE "C", ADD COLUMN IF NOT EXISTS wakes_at timestamptz;
COMMENT ON COLUMN order_sagas.waits_for IS 'step/action/token of the signal that it waits for, or waited for when it was claimed.';
COMMENT ON COLUMN order_sagas.wakes_at IS 'When it goes on without a signal; the time of the signal, once there is one.';

-- Not validated: before this migration nothing waited, and the rules before it say the rest.
ALTER TABLE order_sagas DROP CONSTRAINT order_sagas_lease_while_unfinished;
ALTER TABLE order_sagas ADD CONSTRAINT order_sagas_lease_while_unfinished
    CHECK ((lease_until IS NOT NULL OR wakes_at IS NOT NULL) = (state IN ('running', 'closing', 'compensating'))) NOT VALID;
ALTER TABLE order_sagas ADD CONSTRAINT order_sagas_waits_for_something CHECK ((waits_for IS NULL) = (wakes_at IS NULL)) NOT VALID;
ALTER TABLE order_saga_steps DROP CONSTRAINT order_saga_steps_outcome;
ALTER TABLE order_saga_steps ADD CONSTRAINT order_saga_steps_outcome CHECK (outcome IN ('succeeded', 'rejected', 'unknown',
    'undone', 'undo_failed', 'cancelled', 'recovered', 'needs_attention', 'closed', 'resolved', 'waiting', 'signalled')) NOT VALID;

-- A version that knows nothing of waiting may take such a saga over, on request, and leaves these columns as they are when it
-- goes on. One that knows never writes them together with a lease.
CREATE FUNCTION order_sagas_forget_wait() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.waits_for := NULL;
    NEW.wakes_at := NULL;
    RETURN NEW;
END $$;
CREATE TRIGGER order_sagas_go_on BEFORE UPDATE ON order_sagas FOR EACH ROW
    WHEN (OLD.waits_for IS NOT NULL AND NEW.waits_for IS NOT NULL AND NEW.seq > OLD.seq
          AND (NEW.lease_until IS NOT NULL OR NEW.state NOT IN ('running', 'closing', 'compensating')))
    EXECUTE FUNCTION order_sagas_forget_wait();

-- What was said to sagas of every kind and has not been acted on; a signal leaves it with the write that acts on it. Of one
-- step, action and token the first counts.
CREATE TABLE saga_signals (
    saga_id    uuid        NOT NULL,
    waits_for  text        COLLATE "C" NOT NULL,
    id         bigint      GENERATED ALWAYS AS IDENTITY,
    outcome    text        NOT NULL,
    reason     text,
    detail     text,
    at         timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT saga_signals_pkey PRIMARY KEY (saga_id, waits_for),
    CONSTRAINT saga_signals_outcome CHECK (outcome IN ('succeeded', 'rejected', 'unknown'))
);
