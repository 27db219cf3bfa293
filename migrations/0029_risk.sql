-- Rules before money moves (docs/adr/0056): what orders say of who pays, and what was decided of each, once.
ALTER TABLE order_sagas ADD COLUMN payer jsonb;
COMMENT ON COLUMN order_sagas.payer IS 'What the request said of who pays, for the rules of risk; null: nothing.';

-- One row an order that was assessed: what it was assessed by, and what came of it. Never changed: a person's word is the saga's.
CREATE TABLE risk_assessments (
    order_id         uuid        NOT NULL,
    client           text        COLLATE "C" NOT NULL,
    user_id          text        COLLATE "C" NOT NULL,
    card             text        COLLATE "C",
    device           text        COLLATE "C",
    address          text        COLLATE "C",
    amount_minor     bigint      NOT NULL,
    currency         text        COLLATE "C" NOT NULL,
    position_lat     double precision,
    position_long    double precision,
    account_at       timestamptz,
    at               timestamptz NOT NULL,
    rules_version    text        NOT NULL,
    decision         text        NOT NULL,
    score            integer     NOT NULL,
    rule             text,
    shadow_decision  text        NOT NULL,
    shadow_score     integer     NOT NULL,
    shadow_rule      text,
    reasons          jsonb       NOT NULL,
    review_until     timestamptz,
    after_review     text,
    CONSTRAINT risk_assessments_one_an_order PRIMARY KEY (order_id),
    CONSTRAINT risk_assessments_amount_positive CHECK (amount_minor > 0),
    CONSTRAINT risk_assessments_position_whole CHECK ((position_lat IS NULL) = (position_long IS NULL)),
    CONSTRAINT risk_assessments_said CHECK (card <> '' AND device <> '' AND address <> '' AND user_id <> ''),
    CONSTRAINT risk_assessments_decision CHECK (decision IN ('allow', 'review', 'deny') AND shadow_decision IN ('allow', 'review', 'deny')),
    CONSTRAINT risk_assessments_review CHECK ((decision = 'review') = (review_until IS NOT NULL) AND (decision = 'review') = (after_review IS NOT NULL)),
    CONSTRAINT risk_assessments_after_review CHECK (after_review IN ('allow', 'deny')),
    CONSTRAINT risk_assessments_reasons CHECK (jsonb_typeof(reasons) = 'array')
);
COMMENT ON COLUMN risk_assessments.at IS 'By this server''s clock; of two that share a user, card, device or address never the same.';
COMMENT ON COLUMN risk_assessments.account_at IS 'Since when the user''s account is there, as the request said.';
COMMENT ON COLUMN risk_assessments.shadow_decision IS 'What it would have been, were no rule in shadow.';
COMMENT ON COLUMN risk_assessments.after_review IS 'What is decided when nobody has by review_until.';

-- The windows of rules are read from these alone.
CREATE INDEX risk_assessments_by_user ON risk_assessments (client, user_id, at) INCLUDE (currency, amount_minor, order_id);
CREATE INDEX risk_assessments_by_card ON risk_assessments (client, card, at) INCLUDE (currency, amount_minor, order_id) WHERE card IS NOT NULL;
CREATE INDEX risk_assessments_by_device ON risk_assessments (client, device, at) INCLUDE (currency, amount_minor, order_id) WHERE device IS NOT NULL;
CREATE INDEX risk_assessments_by_address ON risk_assessments (client, address, at) INCLUDE (currency, amount_minor, order_id) WHERE address IS NOT NULL;
-- Back-tests go through them in this order.
CREATE INDEX risk_assessments_by_time ON risk_assessments (at, order_id);

CREATE FUNCTION risk_assessments_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the assessment of order % is never changed', OLD.order_id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'risk_assessments_append_only', TABLE = 'risk_assessments';
END $$;
CREATE TRIGGER risk_assessments_append_only BEFORE UPDATE ON risk_assessments FOR EACH ROW
    EXECUTE FUNCTION risk_assessments_refuse_change();
