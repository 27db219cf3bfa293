-- Charges that their gateway decides later: one row an order that ever waited for its payer, as the gateway said last. Rare rows,
-- of which other orders see nothing.
CREATE TABLE pending_charges (
    order_id      uuid        NOT NULL,
    token         text        COLLATE "C" NOT NULL,
    checkout_url  text,
    expires_at    timestamptz,
    CONSTRAINT pending_charges_pkey PRIMARY KEY (order_id)
);
CREATE INDEX pending_charges_token ON pending_charges (token);
COMMENT ON TABLE pending_charges IS 'The gateway''s name of a charge that it decides later, where its payer pays, and how long.';

-- What gateways said by webhook. A row is durable before its sender is answered; what is done about it follows from the row.
CREATE TABLE webhook_inbox (
    gateway        text        COLLATE "C" NOT NULL,
    event_id       text        COLLATE "C" NOT NULL,
    received_at    timestamptz NOT NULL DEFAULT now(),
    event_type     text        NOT NULL,
    payment_key    text        COLLATE "C",
    payment_token  text        COLLATE "C",
    amount_minor   bigint,
    currency       text,
    body           bytea       NOT NULL,
    state          text        NOT NULL DEFAULT 'new',
    reason         text,
    order_id       uuid,
    -- When somebody takes it up next; NULL: nobody does any more.
    due_at         timestamptz,
    attempts       integer     NOT NULL DEFAULT 0,
    settled_at     timestamptz,
    CONSTRAINT webhook_inbox_pkey PRIMARY KEY (gateway, event_id),
    CONSTRAINT webhook_inbox_state CHECK (state IN ('new', 'unmatched', 'signalled', 'late', 'ignored', 'attention')),
    CONSTRAINT webhook_inbox_due_while_open CHECK ((due_at IS NOT NULL) = (state IN ('new', 'unmatched'))),
    CONSTRAINT webhook_inbox_body_bounded CHECK (octet_length(body) <= 262144)
);
CREATE INDEX webhook_inbox_due ON webhook_inbox (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX webhook_inbox_received ON webhook_inbox (received_at);
CREATE INDEX webhook_inbox_attention ON webhook_inbox (received_at) WHERE state = 'attention';
COMMENT ON TABLE webhook_inbox IS 'Webhooks of gateways, each event once: what was said of which payment, and what became of it.';

-- What is settled stays so: a later look never makes a known event unknown again. A person may settle what needs attention.
CREATE FUNCTION webhook_inbox_refuse_backward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'event % of gateway % may not go from state % to %', OLD.event_id, OLD.gateway, OLD.state, NEW.state
        USING ERRCODE = 'check_violation', CONSTRAINT = 'webhook_inbox_only_forward', TABLE = 'webhook_inbox';
END $$;
CREATE TRIGGER webhook_inbox_only_forward BEFORE UPDATE ON webhook_inbox FOR EACH ROW
    WHEN (OLD.state <> NEW.state AND NOT (OLD.state = 'new' OR (OLD.state = 'unmatched' AND NEW.state <> 'new')
          OR (OLD.state = 'attention' AND NEW.state = 'ignored')))
    EXECUTE FUNCTION webhook_inbox_refuse_backward();
