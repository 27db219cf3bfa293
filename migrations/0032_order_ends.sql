-- What an order posts at its end (docs/adr/0062), when its session says so by the setting waybill.ledger_commission, parts per
-- million: what the order still holds is split into the platform's commission, rounded down to the minor unit, and the rest,
-- which is the driver's. In the statement that frees the driver of an order that is completed, which is the saga's own.

-- The id of a driver's account; NULL: no account of that client's can be called so.
CREATE FUNCTION ledger_driver_account(client text, driver text, currency text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT 'driver:' || driver || ':' || currency
    WHERE client !~ '^\(' AND octet_length(client) BETWEEN 1 AND 200 AND 'driver:' || driver || ':' || currency ~ '^[A-Za-z0-9._:-]{1,64}$'
$$;

-- Drivers' accounts, on first use. Who opens several waits for who opens them as well: in one order.
CREATE FUNCTION ledger_open_drivers(clients text[], drivers text[], currencies text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ledger_accounts (client, id, currency, kind, code, owner, debits_must_not_exceed_credits, history)
    SELECT w.client, w.id, w.currency, 'driver', 600, w.driver, true, true
    FROM (SELECT DISTINCT e.client, ledger_driver_account(e.client, e.driver, e.currency) AS id, e.currency, e.driver
          FROM unnest(clients, drivers, currencies) AS e (client, driver, currency)) w
    WHERE w.id IS NOT NULL AND NOT EXISTS (SELECT FROM ledger_accounts k WHERE k.client = w.client AND k.id = w.id)
    ORDER BY w.client COLLATE "C", w.id COLLATE "C" ON CONFLICT (client, id) DO NOTHING;
END $$;

-- What a commit does before all else, if it moves money of accounts that other sessions write to: those of drivers whose orders
-- end in it, and those of its payouts, named by client and id. All are opened and then locked, in the order of their numbers, so
-- whoever commits waits one way only, in however many statements the money moves then. Not "released_at IS NULL", as in the
-- journal: planned while few drivers are busy, that would read the index of all busy ones for ever.
CREATE FUNCTION ledger_lock_accounts(orders uuid[], clients text[], accounts text[]) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    numbers bigint[];
BEGIN
    IF cardinality(clients) > 0 THEN
        PERFORM payouts_take_turns();  -- who waits for his turn has locked nothing yet
    END IF;
    IF cardinality(orders) > 0 THEN
        PERFORM ledger_open_drivers(array_agg(o.client), array_agg(s.driver_id), array_agg(o.currency))
        FROM order_assignments s JOIN order_sagas o ON o.order_id = s.order_id
        WHERE s.order_id = ANY(orders) AND COALESCE(s.released_at, 'infinity') = 'infinity';
    END IF;
    SELECT array_agg(a.number) INTO numbers
    FROM (SELECT o.client, ledger_driver_account(o.client, s.driver_id, o.currency) AS id
          FROM order_assignments s JOIN order_sagas o ON o.order_id = s.order_id
          WHERE s.order_id = ANY(orders) AND COALESCE(s.released_at, 'infinity') = 'infinity'
          UNION SELECT * FROM unnest(clients, accounts)) w
    JOIN ledger_accounts a ON a.client = w.client AND a.id = w.id;
    IF numbers IS NOT NULL THEN
        PERFORM payouts_lock_accounts(numbers);
    END IF;
END $$;

CREATE FUNCTION ledger_book_ends() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    shard text := current_setting('waybill.ledger');
    ppm integer := current_setting('waybill.ledger_commission');
    orders text[];
    clients text[];
    drivers text[];
    currencies text[];
    commissions bigint[];
    shares bigint[];
    total numeric;
    credited bigint[];  -- where each one's share goes; NULL: to no account of the driver's
    numbers bigint[];
    made_at timestamptz;
BEGIN
    -- What has gone back is not split, and what was never posted is not held.
    SELECT array_agg(e.order_id ORDER BY e.order_id), array_agg(e.client ORDER BY e.order_id), array_agg(e.driver_id ORDER BY e.order_id),
        array_agg(e.currency ORDER BY e.order_id), array_agg(e.commission ORDER BY e.order_id),
        array_agg(e.held - e.commission ORDER BY e.order_id), sum(e.held)
        INTO orders, clients, drivers, currencies, commissions, shares, total
    FROM (SELECT h.*, div(h.held::numeric * ppm, 1000000)::bigint AS commission
          FROM (SELECT n.order_id::text AS order_id, s.client, n.driver_id, p.currency, p.amount_minor - COALESCE((SELECT sum(r.amount_minor)
                    FROM partial_refunds r WHERE r.order_id = p.order_id AND r.state IN ('done', 'resolved')), 0)::bigint AS held
                FROM after n JOIN before o ON o.order_id = n.order_id
                JOIN order_sagas s ON s.order_id = n.order_id
                JOIN payments p ON p.order_id = n.order_id
                WHERE o.released_at IS NULL AND n.released_at IS NOT NULL AND s.state IN ('closing', 'closed') AND p.refund_minor IS NULL
                    AND EXISTS (SELECT FROM ledger_transfers t WHERE t.client = '(waybill)' AND t.id = n.order_id || ':charge')) h
          WHERE h.held > 0) e;
    IF orders IS NULL THEN
        RETURN NULL;
    END IF;
    -- Done already, where the commit began with ledger_lock_accounts.
    IF ppm < 1000000 THEN
        PERFORM ledger_open_drivers(clients, drivers, currencies);
        SELECT array_agg(a.number) INTO numbers
        FROM unnest(clients, drivers, currencies) AS e (client, driver, currency)
        JOIN ledger_accounts a ON a.client = e.client AND a.id = ledger_driver_account(e.client, e.driver, e.currency);
        PERFORM payouts_lock_accounts(COALESCE(numbers, '{}'));
    END IF;
    -- An order ends, whatever its client has done to the driver's account: closed it, or opened it himself in another currency,
    -- or so that it takes no credits, or filled it to the brim.
    SELECT array_agg(CASE WHEN r.number IS NULL OR (NOT r.closed AND NOT r.credits_must_not_exceed_debits
            AND r.credits_posted::numeric + r.credits_pending + total < 9223372036854775807) THEN a.number END ORDER BY e.place)
        INTO credited
    FROM unnest(clients, drivers, currencies) WITH ORDINALITY AS e (client, driver, currency, place)
    LEFT JOIN ledger_accounts a ON a.client = e.client AND a.id = ledger_driver_account(e.client, e.driver, e.currency)
        AND a.currency = e.currency AND NOT a.closed AND NOT a.credits_must_not_exceed_debits
        AND a.credits_posted::numeric + a.credits_pending + total < 9223372036854775807
    LEFT JOIN ledger_accounts r ON r.number = a.parent;
    -- On first use, as in ledger_book.
    INSERT INTO ledger_accounts (client, id, currency, kind, code)
    SELECT '(waybill)', w.id, w.currency, w.kind, w.code
    FROM (SELECT DISTINCT k.kind || ':' || e.currency || ':' || shard AS id, e.currency, k.kind, k.code
          FROM unnest(currencies, credited, shares) AS e (currency, credited, share)
          CROSS JOIN LATERAL (VALUES ('orders', 200, true), ('commission', 500, true), ('suspense', 700, e.credited IS NULL AND e.share > 0))
              AS k (kind, code, wanted) WHERE k.wanted) w
    WHERE NOT EXISTS (SELECT FROM ledger_accounts k WHERE k.client = '(waybill)' AND k.id = w.id)
    ORDER BY w.id ON CONFLICT (client, id) DO NOTHING;
    -- Times grow with the numbers along what is credited, what that belongs to, and these. An account that gets nothing, and may
    -- be ahead of the clock for whatever reason, dates nothing.
    SELECT greatest(clock_timestamp(), max(a.changed_at)) INTO made_at
    FROM (SELECT unnest(credited) AS number UNION SELECT COALESCE(parent, number) FROM ledger_accounts WHERE number = ANY(credited)
          UNION SELECT w.number FROM unnest(currencies) AS e (currency)
          CROSS JOIN LATERAL (VALUES ('orders'), ('commission'), ('suspense')) AS k (kind)
          JOIN ledger_accounts w ON w.client = '(waybill)' AND w.id = k.kind || ':' || e.currency || ':' || shard) m
    JOIN ledger_accounts a ON a.number = m.number;
    INSERT INTO ledger_transfers (client, id, phase, debit_account, credit_account, amount, currency, code, linked, user_data, write, created_at)
    SELECT '(waybill)', m.order_id || ':' || t.what, 'single', o.number, t.credit, t.amount, m.currency, t.code, t.linked, m.order_id, 0, made_at
    FROM unnest(orders, currencies, commissions, shares, credited) WITH ORDINALITY AS m (order_id, currency, commission, share, credited, place)
    JOIN ledger_accounts o ON o.client = '(waybill)' AND o.id = 'orders:' || m.currency || ':' || shard
    JOIN ledger_accounts c ON c.client = '(waybill)' AND c.id = 'commission:' || m.currency || ':' || shard
    LEFT JOIN ledger_accounts u ON u.client = '(waybill)' AND u.id = 'suspense:' || m.currency || ':' || shard
    CROSS JOIN LATERAL (VALUES
        (1, 'commission', c.number, m.commission, 5, m.share > 0),
        (2, 'driver', COALESCE(m.credited, u.number), m.share, 6, false)) AS t (nth, what, credit, amount, code, linked)
    WHERE t.amount > 0 ORDER BY m.place, t.nth;
    RETURN NULL;
END $$;
CREATE TRIGGER order_assignments_post_ends AFTER UPDATE ON order_assignments REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT WHEN (current_setting('waybill.ledger', true) <> '' AND current_setting('waybill.ledger_commission', true) <> '')
    EXECUTE FUNCTION ledger_book_ends();

-- A function finds its tables where they are, and those that act for the tables' owner are nobody's to put on a table of his own.
DO $$
DECLARE
    signature text;
BEGIN
    FOREACH signature IN ARRAY ARRAY['ledger_driver_account(text, text, text)', 'ledger_open_drivers(text[], text[], text[])',
        'ledger_lock_accounts(uuid[], text[], text[])', 'ledger_book_ends()'] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', signature, current_schema());
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', signature);
    END LOOP;
    -- Planned once, perhaps while the tables are empty.
    FOREACH signature IN ARRAY ARRAY['ledger_lock_accounts(uuid[], text[], text[])', 'ledger_book_ends()'] LOOP
        EXECUTE format('ALTER FUNCTION %s SET enable_seqscan = off', signature);
        EXECUTE format('ALTER FUNCTION %s SET enable_nestloop = on', signature);
        EXECUTE format('ALTER FUNCTION %s SET enable_hashjoin = off', signature);
        EXECUTE format('ALTER FUNCTION %s SET enable_mergejoin = off', signature);
        EXECUTE format('ALTER FUNCTION %s SET jit = off', signature);
    END LOOP;
END $$;
