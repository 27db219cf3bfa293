-- A part of an order's money that goes back while the order stands. Each is a row that is there, with its saga (of the kind
-- refund_order, in `sagas`), before its gateway is called.
--
-- The sum of those that are not refused stands in `payments`, and this table's triggers keep it there: whoever begins one,
-- with whatever program, locks the payment's row and meets its check. refund_minor is all that has gone back once the whole
-- charge has: what a gateway answers to a Refund, parts included.
ALTER TABLE payments ADD COLUMN parts_minor bigint NOT NULL DEFAULT 0, ADD COLUMN parts smallint NOT NULL DEFAULT 0;
COMMENT ON COLUMN payments.parts_minor IS 'Of partial refunds that are not refused, the sum; kept by the triggers of partial_refunds.';
COMMENT ON COLUMN payments.parts IS 'How many partial refunds there were, refused ones included.';
COMMENT ON COLUMN payments.refund_minor IS 'What has gone back in all, partial refunds included, once the order was turned back.';
-- Not validated: what was there before has none.
ALTER TABLE payments ADD CONSTRAINT payments_parts_within_charge CHECK (parts_minor BETWEEN 0 AND amount_minor) NOT VALID;
ALTER TABLE payments ADD CONSTRAINT payments_parts_bounded CHECK (parts BETWEEN 0 AND 100) NOT VALID;

CREATE TABLE partial_refunds (
    order_id         uuid        NOT NULL,
    refund_id        text        COLLATE "C" NOT NULL,
    saga_id          uuid        NOT NULL,
    gateway          text        COLLATE "C",
    idempotency_key  text        COLLATE "C" NOT NULL,
    amount_minor     bigint      NOT NULL,
    currency         text        NOT NULL,
    reason           text        NOT NULL DEFAULT '',
    state            text        COLLATE "C" NOT NULL DEFAULT 'open',
    reference        text        NOT NULL DEFAULT '',
    refusal          text        NOT NULL DEFAULT '',
    begun_at         timestamptz NOT NULL,
    decided_at       timestamptz,
    CONSTRAINT partial_refunds_pkey PRIMARY KEY (order_id, refund_id),
    CONSTRAINT partial_refunds_one_a_saga UNIQUE (saga_id),
    CONSTRAINT partial_refunds_of_a_charge FOREIGN KEY (order_id) REFERENCES payments,
    CONSTRAINT partial_refunds_id_length CHECK (length(refund_id) BETWEEN 1 AND 128),
    CONSTRAINT partial_refunds_amount_positive CHECK (amount_minor > 0),
    CONSTRAINT partial_refunds_state CHECK (state IN ('open', 'done', 'refused', 'resolved')),
    CONSTRAINT partial_refunds_decided CHECK ((decided_at IS NULL) = (state = 'open')),
    CONSTRAINT partial_refunds_refused_for_a_reason CHECK ((state = 'refused') = (refusal <> ''))
) WITH (fillfactor = 90);
COMMENT ON COLUMN partial_refunds.gateway IS 'By name, of a routed order; NULL: the only one.';
COMMENT ON COLUMN partial_refunds.idempotency_key IS 'Of the charge that it is a part of.';
COMMENT ON COLUMN partial_refunds.state IS 'open: the gateway is asked; resolved: ended by a person, and counted as given back.';
COMMENT ON COLUMN partial_refunds.reference IS 'The gateway''s own, of the refund.';

-- The payment's row is locked first, and what is there counted after that: so no two miss each other. What the payment has
-- counted already is a dump being loaded, and stands as it is; the foreign key has payments loaded first.
CREATE FUNCTION partial_refunds_reserve() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    charge payments%ROWTYPE;
    counted smallint;
    total bigint;
BEGIN
    SELECT * INTO charge FROM payments WHERE order_id = NEW.order_id FOR NO KEY UPDATE;
    SELECT count(*), COALESCE(sum(amount_minor) FILTER (WHERE state <> 'refused'), 0) INTO counted, total
    FROM partial_refunds WHERE order_id = NEW.order_id;
    IF counted > charge.parts THEN
        IF charge.refund_minor IS NOT NULL OR charge.currency <> NEW.currency
           OR NOT EXISTS (SELECT FROM order_sagas WHERE order_id = NEW.order_id AND state IN ('succeeded', 'closing', 'closed')) THEN
            RAISE EXCEPTION 'order % has no charge of which this part could go back', NEW.order_id
                USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME, TABLE = 'partial_refunds';
        END IF;
        UPDATE payments SET parts_minor = total, parts = counted WHERE order_id = NEW.order_id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER partial_refunds_of_an_order_that_stands AFTER INSERT ON partial_refunds FOR EACH ROW
    EXECUTE FUNCTION partial_refunds_reserve();

CREATE FUNCTION partial_refunds_free() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT SET enable_seqscan = off AS $$
BEGIN
    UPDATE payments SET parts_minor = parts_minor - OLD.amount_minor WHERE order_id = OLD.order_id;
    RETURN NULL;
END $$;
CREATE TRIGGER partial_refunds_free AFTER UPDATE ON partial_refunds FOR EACH ROW
    WHEN (NEW.state = 'refused' AND OLD.state <> 'refused') EXECUTE FUNCTION partial_refunds_free();

CREATE FUNCTION partial_refunds_refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    RAISE EXCEPTION 'refund % of order % is %, and stays as it is', OLD.refund_id, OLD.order_id, OLD.state
        USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME, TABLE = 'partial_refunds';
END $$;
CREATE TRIGGER partial_refunds_only_forward BEFORE UPDATE ON partial_refunds FOR EACH ROW
    WHEN (NEW.order_id <> OLD.order_id OR NEW.refund_id <> OLD.refund_id OR NEW.saga_id <> OLD.saga_id
          OR NEW.gateway IS DISTINCT FROM OLD.gateway OR NEW.idempotency_key <> OLD.idempotency_key
          OR NEW.amount_minor <> OLD.amount_minor OR NEW.currency <> OLD.currency
          OR (OLD.state <> 'open' AND NEW.state <> OLD.state))
    EXECUTE FUNCTION partial_refunds_refuse_change();

-- What has gone back of each charge, one row a time that something did: its parts, and the rest with the whole of it. By the
-- gateway that has the order's money, or had a charge that it gave back and that was left.
CREATE VIEW gateway_refunds AS
    SELECT r.order_id, r.gateway, r.refund_id, r.amount_minor, r.currency, r.decided_at AS refunded_at
    FROM partial_refunds r
    WHERE r.state IN ('done', 'resolved')
    UNION ALL
    SELECT w.order_id, w.gateway, '', w.amount_minor, w.currency, w.refunded_at
    FROM (SELECT p.order_id, a.gateway, p.currency, p.refunded_at,
                 p.refund_minor - COALESCE((SELECT sum(r.amount_minor) FROM partial_refunds r
                                            WHERE r.order_id = p.order_id AND r.state IN ('done', 'resolved')), 0)::bigint AS amount_minor
          FROM payments p
          LEFT JOIN payment_attempts a ON a.order_id = p.order_id
              AND NOT EXISTS (SELECT FROM payment_attempts later WHERE later.order_id = a.order_id AND later.number > a.number)
          WHERE p.refund_minor IS NOT NULL) w
    WHERE w.amount_minor > 0
    UNION ALL
    SELECT a.order_id, a.gateway, '', a.amount_minor, a.currency, a.decided_at
    FROM payment_attempts a
    WHERE a.state = 'refunded'
      AND (EXISTS (SELECT FROM payment_attempts later WHERE later.order_id = a.order_id AND later.number > a.number)
        OR NOT EXISTS (SELECT FROM payments p WHERE p.order_id = a.order_id));

-- The same, with what has gone back in all and when it last did; what reads single refunds reads gateway_refunds.
CREATE OR REPLACE VIEW gateway_books AS
    SELECT p.order_id, a.gateway, p.amount_minor, p.currency, p.gateway_reference, p.charged_at,
           COALESCE(p.refund_minor, r.amount_minor) AS refund_minor, COALESCE(p.refunded_at, r.refunded_at) AS refunded_at
    FROM payments p
    LEFT JOIN payment_attempts a ON a.order_id = p.order_id
        AND NOT EXISTS (SELECT FROM payment_attempts later WHERE later.order_id = a.order_id AND later.number > a.number)
    LEFT JOIN (SELECT order_id, sum(amount_minor)::bigint AS amount_minor, max(decided_at) AS refunded_at
               FROM partial_refunds WHERE state IN ('done', 'resolved') GROUP BY order_id) r ON r.order_id = p.order_id
    UNION ALL
    SELECT a.order_id, a.gateway, a.amount_minor, a.currency, COALESCE(a.reference, ''), a.begun_at, a.amount_minor, a.decided_at
    FROM payment_attempts a
    WHERE a.state = 'refunded'
      AND (EXISTS (SELECT FROM payment_attempts later WHERE later.order_id = a.order_id AND later.number > a.number)
        OR NOT EXISTS (SELECT FROM payments p WHERE p.order_id = a.order_id));
