-- Sums of what each gateway took and gave back, over any time. What a transaction books it also leaves as entries, and whoever
-- has the turn moves entries into sums: each movement of money is in one of the two, at every snapshot (docs/adr/0048).

-- The gateway's fee of a charge, in minor units: half a unit and more is one.
CREATE FUNCTION waybill_fee(amount_minor bigint, cost_ppm integer) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT COALESCE(div(amount_minor::numeric * cost_ppm + 500000, 1000000), 0)::bigint
$$;

-- In the order in which writers lock them. Columns without a default of their own for rows that are there: nothing is rewritten.
ALTER TABLE payments ADD COLUMN summed boolean;
ALTER TABLE payments ALTER COLUMN summed SET DEFAULT true;
COMMENT ON COLUMN payments.summed IS 'True: entered into the sums as it was booked, by a trigger. NULL: of before there were sums; false: the same, but its refund was entered. These are moved by payment_sums_rest.';
ALTER TABLE payment_attempts ADD COLUMN cost_ppm integer;
ALTER TABLE payment_attempts ADD CONSTRAINT payment_attempts_cost_range CHECK (cost_ppm BETWEEN 0 AND 1000000) NOT VALID;
ALTER TABLE payment_attempts ADD COLUMN summed boolean;
COMMENT ON COLUMN payment_attempts.cost_ppm IS 'What the gateway takes of the amount, in millionths, as the services'' file said when the attempt began. NULL: nobody wrote it down, and it counts as nothing.';
COMMENT ON COLUMN payment_attempts.summed IS 'Of one that was charged, given back and left: as payments.summed.';

-- What transactions have booked since the sums were last brought up to date: of each statement, kind, gateway and currency a row.
CREATE TABLE payment_entries (
    kind           text           COLLATE "C" NOT NULL,
    gateway        text           COLLATE "C" NOT NULL,
    currency       text           COLLATE "C" NOT NULL,
    moved_at       timestamptz[]  NOT NULL,
    amounts_minor  bigint[]       NOT NULL,
    fees_minor     bigint[]       NOT NULL,
    CONSTRAINT payment_entries_kind CHECK (kind IN ('charge', 'refund')),
    CONSTRAINT payment_entries_whole CHECK (cardinality(moved_at) > 0 AND array_position(moved_at, NULL) IS NULL AND cardinality(amounts_minor) = cardinality(moved_at)
        AND cardinality(fees_minor) = cardinality(moved_at))
) WITH (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
COMMENT ON COLUMN payment_entries.gateway IS 'Empty: of an order that is not routed.';

-- Spans of each level start at a multiple of its length since 1970 and hold whole spans of the level below; lengths are those of
-- storage/payment_summary.h and never change. Level 0, a second, also has each movement, for times that cut through it.
CREATE TABLE payment_sums (
    level          smallint       NOT NULL,
    starts         timestamptz    NOT NULL,
    kind           text           COLLATE "C" NOT NULL,
    gateway        text           COLLATE "C" NOT NULL,
    currency       text           COLLATE "C" NOT NULL,
    movements      bigint         NOT NULL,
    amount_minor   numeric        NOT NULL,
    fee_minor      numeric        NOT NULL,
    moved_at       timestamptz[],
    amounts_minor  bigint[],
    fees_minor     bigint[],
    CONSTRAINT payment_sums_pkey PRIMARY KEY (level, starts, kind, gateway, currency),
    CONSTRAINT payment_sums_kind CHECK (kind IN ('charge', 'refund')),
    CONSTRAINT payment_sums_each_of_a_second CHECK (CASE WHEN level = 0
        THEN COALESCE(cardinality(moved_at) = movements AND cardinality(amounts_minor) = movements
            AND cardinality(fees_minor) = movements, false)
        ELSE moved_at IS NULL AND amounts_minor IS NULL AND fees_minor IS NULL END)
) WITH (fillfactor = 80);

-- The triggers enter as the tables' owner, so that services of before need no right that they have not got.
CREATE FUNCTION payments_enter_charges() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO payment_entries
        SELECT m.kind, COALESCE(a.gateway, ''), b.currency, array_agg(m.at), array_agg(m.amount_minor), array_agg(m.fee_minor)
        FROM booked b
        LEFT JOIN LATERAL (SELECT t.gateway, t.cost_ppm FROM payment_attempts t WHERE t.order_id = b.order_id
                           ORDER BY t.number DESC LIMIT 1) a ON true
        CROSS JOIN LATERAL (VALUES ('charge', b.charged_at, b.amount_minor, waybill_fee(b.amount_minor, a.cost_ppm)),
                                   ('refund', b.refunded_at, b.refund_minor, 0)) AS m (kind, at, amount_minor, fee_minor)
        WHERE m.at IS NOT NULL
        GROUP BY 1, 2, 3;
    RETURN NULL;
END $$;
CREATE TRIGGER payments_enter_charges AFTER INSERT ON payments REFERENCING NEW TABLE AS booked
    FOR EACH STATEMENT EXECUTE FUNCTION payments_enter_charges();

-- As much as the refund grows, without the parts that are entered already.
CREATE FUNCTION payments_enter_refund() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    amount bigint := COALESCE(NEW.refund_minor, 0) - COALESCE(OLD.refund_minor, 0);
BEGIN
    IF OLD.refund_minor IS NULL THEN
        amount := amount - COALESCE((SELECT sum(r.amount_minor) FROM partial_refunds r
                                     WHERE r.order_id = NEW.order_id AND r.state IN ('done', 'resolved')), 0);
    END IF;
    IF amount <> 0 AND NEW.refunded_at IS NOT NULL THEN  -- without a time the table refuses it
        INSERT INTO payment_entries VALUES ('refund',
            COALESCE((SELECT t.gateway FROM payment_attempts t WHERE t.order_id = NEW.order_id ORDER BY t.number DESC LIMIT 1), ''),
            NEW.currency, ARRAY[NEW.refunded_at], ARRAY[amount], ARRAY[0]);
    END IF;
    NEW.summed := COALESCE(OLD.summed, false);
    RETURN NEW;
END $$;
CREATE TRIGGER payments_enter_refund BEFORE UPDATE ON payments FOR EACH ROW
    WHEN (NEW.refund_minor IS DISTINCT FROM OLD.refund_minor) EXECUTE FUNCTION payments_enter_refund();

-- A part. The payment's row is locked, so that it is in the whole refund or beside it: what is heard of only after all has gone
-- back was in that.
CREATE FUNCTION partial_refunds_enter() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM FROM payments WHERE order_id = NEW.order_id AND refund_minor IS NULL FOR NO KEY UPDATE;
    IF FOUND THEN
        INSERT INTO payment_entries VALUES ('refund', COALESCE(NEW.gateway, ''), NEW.currency, ARRAY[NEW.decided_at],
            ARRAY[NEW.amount_minor], ARRAY[0]);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER partial_refunds_enter AFTER UPDATE ON partial_refunds FOR EACH ROW
    WHEN (NEW.state IN ('done', 'resolved') AND OLD.state NOT IN ('done', 'resolved')) EXECUTE FUNCTION partial_refunds_enter();

-- A charge that was given back when its attempt was left: none of the order's payment, and the gateway's all the same. At the end
-- of the statement, when the payment, if there is one, is there.
CREATE FUNCTION payment_attempts_enter() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF EXISTS (SELECT FROM payment_attempts t WHERE t.order_id = NEW.order_id AND t.number > NEW.number)
       OR NOT EXISTS (SELECT FROM payments p WHERE p.order_id = NEW.order_id) THEN
        INSERT INTO payment_entries VALUES
            ('charge', NEW.gateway, NEW.currency, ARRAY[NEW.begun_at], ARRAY[NEW.amount_minor],
             ARRAY[waybill_fee(NEW.amount_minor, NEW.cost_ppm)]),
            ('refund', NEW.gateway, NEW.currency, ARRAY[NEW.decided_at], ARRAY[NEW.amount_minor], ARRAY[0]);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER payment_attempts_enter AFTER UPDATE ON payment_attempts FOR EACH ROW
    WHEN (NEW.state = 'refunded' AND OLD.state <> 'refunded') EXECUTE FUNCTION payment_attempts_enter();
CREATE FUNCTION payment_attempts_summed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.summed := true;
    RETURN NEW;
END $$;
CREATE TRIGGER payment_attempts_summed BEFORE UPDATE ON payment_attempts FOR EACH ROW
    WHEN (NEW.state = 'refunded' AND OLD.state <> 'refunded') EXECUTE FUNCTION payment_attempts_summed();

-- An owner's function finds its tables where they are, whatever its caller's search_path says, and is nobody's to put on a table of
-- his own. Each looks rows up by key: a plan that was made while payment_attempts was small would read all of it for each.
DO $$
DECLARE
    signature text;
BEGIN
    FOREACH signature IN ARRAY ARRAY['payments_enter_charges()', 'payments_enter_refund()', 'partial_refunds_enter()', 'payment_attempts_enter()'] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', signature, current_schema());
        EXECUTE format('ALTER FUNCTION %s SET enable_seqscan = off', signature);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', signature);
    END LOOP;
END $$;

-- What was there before: moved from `after` on, a bounded part at a time; a row that is gone is done with.
CREATE TABLE payment_sums_rest (
    source  text  COLLATE "C" NOT NULL,
    after   uuid  NOT NULL,
    upto    uuid  NOT NULL,
    CONSTRAINT payment_sums_rest_pkey PRIMARY KEY (source),
    CONSTRAINT payment_sums_rest_source CHECK (source IN ('payments', 'payment_attempts'))
);
INSERT INTO payment_sums_rest
    SELECT 'payments', uuid '00000000-0000-0000-0000-000000000000', last.order_id
    FROM (SELECT order_id FROM payments ORDER BY order_id DESC LIMIT 1) AS last
    UNION ALL
    SELECT 'payment_attempts', uuid '00000000-0000-0000-0000-000000000000', last.order_id
    FROM (SELECT order_id FROM payment_attempts ORDER BY order_id DESC, number DESC LIMIT 1) AS last;

CREATE VIEW unsummed_payments AS
    SELECT p.order_id, m.kind, COALESCE(a.gateway, '') AS gateway, p.currency, m.at, m.amount_minor, m.fee_minor
    FROM payments p
    LEFT JOIN LATERAL (SELECT t.gateway, t.cost_ppm FROM payment_attempts t WHERE t.order_id = p.order_id
                       ORDER BY t.number DESC LIMIT 1) a ON true
    CROSS JOIN LATERAL (VALUES ('charge', p.charged_at, p.amount_minor, waybill_fee(p.amount_minor, a.cost_ppm)),
                               ('refund', CASE WHEN p.summed IS NULL THEN p.refunded_at END, p.refund_minor, 0))
        AS m (kind, at, amount_minor, fee_minor)
    WHERE p.summed IS NOT TRUE AND m.at IS NOT NULL;
CREATE VIEW unsummed_attempts AS
    SELECT a.order_id, m.kind, a.gateway, a.currency, m.at, a.amount_minor, m.fee_minor
    FROM payment_attempts a
    CROSS JOIN LATERAL (VALUES ('charge', a.begun_at, waybill_fee(a.amount_minor, a.cost_ppm)), ('refund', a.decided_at, 0))
        AS m (kind, at, fee_minor)
    WHERE a.state = 'refunded' AND a.summed IS NULL
      AND (EXISTS (SELECT FROM payment_attempts later WHERE later.order_id = a.order_id AND later.number > a.number)
        OR NOT EXISTS (SELECT FROM payments p WHERE p.order_id = a.order_id));
