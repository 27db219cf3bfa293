-- What gateways say that they took and gave back, line by line, and where that and our books differ.
CREATE TYPE settlement_state AS ENUM ('loading', 'reconciled', 'replaced');

-- A gateway's file of one day, or of any other time.
CREATE TABLE settlements (
    settlement_id  bigint            GENERATED ALWAYS AS IDENTITY,
    gateway        text              COLLATE "C" NOT NULL,
    name           text              COLLATE "C" NOT NULL,
    covers_from    timestamptz       NOT NULL,
    covers_to      timestamptz       NOT NULL,
    fee_ppm        integer,
    fee_fixed      bigint,
    state          settlement_state  NOT NULL DEFAULT 'loading',
    created_at     timestamptz       NOT NULL DEFAULT now(),
    reconciled_at  timestamptz,
    lines          bigint            NOT NULL DEFAULT 0,
    opened         bigint            NOT NULL DEFAULT 0,
    proven         bigint            NOT NULL DEFAULT 0,
    CONSTRAINT settlements_pkey PRIMARY KEY (settlement_id),
    CONSTRAINT settlements_covers_some_time CHECK (covers_from < covers_to),
    CONSTRAINT settlements_fee_whole CHECK ((fee_ppm IS NULL) = (fee_fixed IS NULL)),
    CONSTRAINT settlements_reconciled_once CHECK ((state = 'loading') = (reconciled_at IS NULL))
);
-- One that is read again takes the place of the one of its name.
CREATE UNIQUE INDEX settlements_one_of_a_name ON settlements (gateway, name) WHERE state = 'reconciled';
COMMENT ON COLUMN settlements.fee_ppm IS 'Of a charge, in millionths, besides fee_fixed in minor units: what the gateway may take. NULL: fees are not checked.';
COMMENT ON COLUMN settlements.lines IS 'As of its reconciliation; so are opened and proven: cases that it opened, and that it closed.';

CREATE TABLE settlement_lines (
    settlement_id      bigint       NOT NULL,
    line               integer      NOT NULL,
    kind               text         COLLATE "C" NOT NULL,
    order_id           uuid,
    gateway_reference  text         COLLATE "C" NOT NULL,
    amount_minor       bigint       NOT NULL,
    fee_minor          bigint       NOT NULL,
    currency           text         COLLATE "C" NOT NULL,
    booked_at          timestamptz  NOT NULL,
    payout             text         NOT NULL,
    CONSTRAINT settlement_lines_pkey PRIMARY KEY (settlement_id, line),
    CONSTRAINT settlement_lines_of_a_settlement FOREIGN KEY (settlement_id) REFERENCES settlements ON DELETE CASCADE,
    CONSTRAINT settlement_lines_kind CHECK (kind IN ('charge', 'refund', 'fee', 'chargeback')),
    CONSTRAINT settlement_lines_line_positive CHECK (line > 0)
);
CREATE INDEX settlement_lines_of_an_order ON settlement_lines (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX settlement_lines_of_nothing_known ON settlement_lines (gateway_reference) WHERE order_id IS NULL AND kind <> 'fee';
COMMENT ON COLUMN settlement_lines.order_id IS 'Whose money it is, as the line says, or as its gateway_reference is ours; NULL: nobody knows.';
COMMENT ON COLUMN settlement_lines.amount_minor IS 'Never negative: what was taken of a charge or as a fee, what was given back of the others.';

-- A difference, until it is gone or somebody has said why it may stay.
CREATE TABLE reconciliation_cases (
    case_id        bigint       GENERATED ALWAYS AS IDENTITY,
    gateway        text         COLLATE "C" NOT NULL,
    kind           text         COLLATE "C" NOT NULL,
    about          text         COLLATE "C" NOT NULL,
    order_id       uuid,
    reference      text         COLLATE "C" NOT NULL DEFAULT '',
    ours_minor     bigint,
    theirs_minor   bigint,
    currency       text         COLLATE "C" NOT NULL,
    settlement_id  bigint       NOT NULL,
    opened_at      timestamptz  NOT NULL DEFAULT now(),
    closed_at      timestamptz,
    closed_by      text,
    reason         text,
    CONSTRAINT reconciliation_cases_pkey PRIMARY KEY (case_id),
    CONSTRAINT reconciliation_cases_kind CHECK (kind IN ('missing_here', 'missing_there', 'twice', 'amount', 'currency', 'fee', 'chargeback')),
    CONSTRAINT reconciliation_cases_about CHECK (about IN ('charge', 'refund', 'chargeback')),
    CONSTRAINT reconciliation_cases_about_something CHECK (order_id IS NOT NULL OR kind = 'missing_here'),
    CONSTRAINT reconciliation_cases_closed_for_a_reason
        CHECK ((closed_at IS NULL) = (closed_by IS NULL) AND (closed_at IS NULL) = (reason IS NULL))
);
CREATE UNIQUE INDEX reconciliation_cases_one_open ON reconciliation_cases (gateway, kind, about, order_id, reference)
    NULLS NOT DISTINCT WHERE closed_at IS NULL;
CREATE INDEX reconciliation_cases_of_an_order ON reconciliation_cases (order_id);
COMMENT ON COLUMN reconciliation_cases.reference IS 'The gateway''s own, of a line that names no order of ours; else empty.';
COMMENT ON COLUMN reconciliation_cases.settlement_id IS 'The one that opened it.';
COMMENT ON COLUMN reconciliation_cases.closed_by IS 'Empty: a later settlement proved that the difference is gone.';

-- What our books say each gateway has taken and given back. Of an order that is not routed the gateway is NULL: the only one.
-- An attempt that was charged, given back and left is none of the order's payment, and is the gateway's all the same.
CREATE VIEW gateway_books AS
    SELECT p.order_id, a.gateway, p.amount_minor, p.currency, p.gateway_reference, p.charged_at, p.refund_minor, p.refunded_at
    FROM payments p
    LEFT JOIN payment_attempts a ON a.order_id = p.order_id
        AND NOT EXISTS (SELECT FROM payment_attempts later WHERE later.order_id = a.order_id AND later.number > a.number)
    UNION ALL
    SELECT a.order_id, a.gateway, a.amount_minor, a.currency, COALESCE(a.reference, ''), a.begun_at, a.amount_minor, a.decided_at
    FROM payment_attempts a
    WHERE a.state = 'refunded'
      AND (EXISTS (SELECT FROM payment_attempts later WHERE later.order_id = a.order_id AND later.number > a.number)
        OR NOT EXISTS (SELECT FROM payments p WHERE p.order_id = a.order_id));
