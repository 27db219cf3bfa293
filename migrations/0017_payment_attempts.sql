-- Routed orders: each attempt at charging one is a row that is there before its gateway is called. The money of an order can
-- only be at the gateway of its last attempt: of those before it is proven that nothing is, or will be, there.
CREATE TABLE payment_attempts (
    order_id         uuid        NOT NULL,
    number           smallint    NOT NULL,
    gateway          text        COLLATE "C" NOT NULL,
    idempotency_key  text        COLLATE "C" NOT NULL,
    amount_minor     bigint      NOT NULL,
    currency         text        NOT NULL,
    state            text        COLLATE "C" NOT NULL DEFAULT 'open',
    reference        text,
    pending_token    text        COLLATE "C",
    begun_at         timestamptz NOT NULL,
    decided_at       timestamptz,
    CONSTRAINT payment_attempts_pkey PRIMARY KEY (order_id, number),
    CONSTRAINT payment_attempts_number_positive CHECK (number >= 1),
    CONSTRAINT payment_attempts_gateway_name CHECK (gateway ~ '^[a-z0-9_-]{1,40}$'),
    CONSTRAINT payment_attempts_amount_positive CHECK (amount_minor > 0),
    CONSTRAINT payment_attempts_state CHECK (state IN ('open', 'pending', 'closing', 'approved', 'declined', 'not_sent',
        'closed', 'refunded')),
    CONSTRAINT payment_attempts_decided CHECK ((decided_at IS NULL) = (state IN ('open', 'pending', 'closing'))),
    CONSTRAINT payment_attempts_pending_token CHECK (pending_token IS NULL OR state = 'pending')
) WITH (fillfactor = 90);
COMMENT ON COLUMN payment_attempts.state IS 'open: nobody has said what became of it; closing: given up, its key is being closed; not_sent: the gateway was certainly not asked; closed: never charged; refunded: charged, and all given back.';
COMMENT ON COLUMN payment_attempts.reference IS 'The gateway''s own, of the charge.';
COMMENT ON COLUMN payment_attempts.pending_token IS 'The gateway''s own, while the attempt is pending.';
-- Not over the state: an attempt that is decided at once would then be in the index twice.
CREATE INDEX payment_attempts_pending ON payment_attempts (gateway, pending_token) WHERE pending_token IS NOT NULL;

-- What is decided stays so, but for a refund of what was approved, and nothing becomes open again.
CREATE FUNCTION payment_attempts_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'attempt % of order % is %, and cannot become %', OLD.number, OLD.order_id, OLD.state, NEW.state
        USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_attempts_only_forward', TABLE = 'payment_attempts';
END $$;
CREATE TRIGGER payment_attempts_only_forward BEFORE UPDATE ON payment_attempts FOR EACH ROW
    WHEN (NEW.gateway <> OLD.gateway OR NEW.idempotency_key <> OLD.idempotency_key OR NEW.amount_minor <> OLD.amount_minor
          OR NEW.currency <> OLD.currency
          OR (NEW.state <> OLD.state AND (OLD.state IN ('declined', 'not_sent', 'closed', 'refunded')
              OR (OLD.state = 'approved' AND NEW.state <> 'refunded') OR NEW.state = 'open'
              OR (OLD.state = 'closing' AND NEW.state NOT IN ('closed', 'refunded')))))
    EXECUTE FUNCTION payment_attempts_refuse_change();

-- What operators have said of gateways while services run, in place of what the services' file says.
CREATE TABLE gateway_settings (
    gateway     text        COLLATE "C" NOT NULL,
    drained     boolean     NOT NULL DEFAULT false,
    weight      smallint,
    changed_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT gateway_settings_pkey PRIMARY KEY (gateway),
    CONSTRAINT gateway_settings_gateway_name CHECK (gateway ~ '^[a-z0-9_-]{1,40}$'),
    CONSTRAINT gateway_settings_weight_range CHECK (weight BETWEEN 1 AND 1000)
);
COMMENT ON COLUMN gateway_settings.weight IS 'Null: the file''s.';

-- A step may begin anew.
ALTER TABLE order_saga_steps DROP CONSTRAINT order_saga_steps_outcome;
ALTER TABLE order_saga_steps ADD CONSTRAINT order_saga_steps_outcome CHECK (outcome IN ('succeeded', 'rejected', 'unknown',
    'undone', 'undo_failed', 'cancelled', 'recovered', 'needs_attention', 'closed', 'resolved', 'waiting', 'signalled',
    'again')) NOT VALID;
ALTER TABLE saga_steps DROP CONSTRAINT saga_steps_outcome;
ALTER TABLE saga_steps ADD CONSTRAINT saga_steps_outcome CHECK (outcome IN ('succeeded', 'rejected', 'unknown', 'undone',
    'undo_failed', 'cancelled', 'recovered', 'needs_attention', 'closed', 'resolved', 'waiting', 'signalled',
    'again')) NOT VALID;
