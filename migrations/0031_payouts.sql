-- Money that goes out to payees (docs/adr/0060). Each payout is a row that is there, with its saga (of the kind payout, in
-- `sagas`) and its hold in the ledger, before the payout gateway is called, under the one key that it is ever called by.
--
-- A row and what it means in the ledger are one statement: this table's triggers make the transfers, whoever writes. What is
-- begun holds its amount (a pending transfer, from the payee's account to the clearing account payouts:EUR of the client
-- '(waybill)'); what is paid, or resolved by a person, posts the hold; what is refused voids it.
CREATE TABLE payouts (
    saga_id          uuid         NOT NULL,
    client           text         COLLATE "C" NOT NULL,
    payout_id        text         COLLATE "C" NOT NULL,
    account          text         COLLATE "C" NOT NULL,
    idempotency_key  text         COLLATE "C" NOT NULL,
    hold_id          text         COLLATE "C",
    amount_minor     bigint       NOT NULL,
    currency         text         COLLATE "C" NOT NULL,
    destination      text         NOT NULL,
    description      text         NOT NULL DEFAULT '',
    state            text         COLLATE "C" NOT NULL DEFAULT 'open',
    reference        text         NOT NULL DEFAULT '',
    refusal          text         NOT NULL DEFAULT '',
    begun_at         timestamptz  NOT NULL,
    decided_at       timestamptz,
    CONSTRAINT payouts_pkey PRIMARY KEY (saga_id),
    CONSTRAINT payouts_client_id UNIQUE (client, payout_id),
    CONSTRAINT payouts_one_a_key UNIQUE (idempotency_key),
    CONSTRAINT payouts_one_a_hold UNIQUE (hold_id),
    CONSTRAINT payouts_id_length CHECK (length(payout_id) BETWEEN 1 AND 64),
    CONSTRAINT payouts_amount_positive CHECK (amount_minor > 0),
    CONSTRAINT payouts_state CHECK (state IN ('open', 'paid', 'refused', 'resolved')),
    CONSTRAINT payouts_decided CHECK ((decided_at IS NULL) = (state = 'open')),
    CONSTRAINT payouts_refused_for_a_reason CHECK ((state = 'refused') = (refusal <> '')),
    -- Only what was refused for lack of money never held any.
    CONSTRAINT payouts_held CHECK (hold_id IS NOT NULL OR state = 'refused')
) WITH (fillfactor = 90);
-- Lists, the newest first: a client's, an account's, and what is open.
CREATE INDEX payouts_by_client ON payouts (client, saga_id);
CREATE INDEX payouts_by_account ON payouts (account, saga_id);
CREATE INDEX payouts_open ON payouts (saga_id) WHERE state = 'open';
COMMENT ON COLUMN payouts.client IS 'Whose account of the ledger it is.';
COMMENT ON COLUMN payouts.payout_id IS 'The client''s own.';
COMMENT ON COLUMN payouts.idempotency_key IS 'Under which the payout gateway is asked, however often.';
COMMENT ON COLUMN payouts.hold_id IS 'The pending transfer, of the client (waybill) in ledger_transfers.';
COMMENT ON COLUMN payouts.state IS 'open: the gateway is asked; resolved: ended by a person, and counted as paid.';

CREATE FUNCTION payouts_refuse() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    RAISE EXCEPTION '% of payouts is refused: a payout begins open or refused, is decided once, and stays', TG_OP
        USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME, TABLE = 'payouts';
END $$;
CREATE TRIGGER payouts_begin_open BEFORE INSERT ON payouts FOR EACH ROW
    WHEN (NEW.state NOT IN ('open', 'refused') OR (NEW.state = 'open') <> (NEW.hold_id IS NOT NULL) OR NEW.reference <> '')
    EXECUTE FUNCTION payouts_refuse();
CREATE TRIGGER payouts_only_forward BEFORE UPDATE ON payouts FOR EACH ROW
    WHEN (NEW.saga_id <> OLD.saga_id OR NEW.client <> OLD.client OR NEW.payout_id <> OLD.payout_id OR NEW.account <> OLD.account
          OR NEW.idempotency_key <> OLD.idempotency_key OR NEW.hold_id IS DISTINCT FROM OLD.hold_id OR NEW.amount_minor <> OLD.amount_minor
          OR NEW.currency <> OLD.currency OR NEW.destination <> OLD.destination OR (OLD.state <> 'open' AND NEW.state <> OLD.state))
    EXECUTE FUNCTION payouts_refuse();
CREATE TRIGGER payouts_stay BEFORE DELETE OR TRUNCATE ON payouts FOR EACH STATEMENT EXECUTE FUNCTION payouts_refuse();

-- One commit after the other moves the accounts of payouts: a commit may both begin and end some, in two statements, and two
-- such would wait for each other's accounts.
CREATE FUNCTION payouts_take_turns() RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(hashtextextended('waybill.payouts', 0));
$$;

-- Locked before a transfer takes its number, in the order in which all lock them: so along each account numbers and times
-- grow together. The time that transfers between them may have. Not "parent IS NOT NULL": planned while there are few cards,
-- that would read the index of all of them for ever.
CREATE FUNCTION payouts_lock_accounts(accounts bigint[]) RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE
    latest timestamptz;
BEGIN
    PERFORM FROM ledger_accounts WHERE number IN (
        SELECT unnest(accounts) UNION SELECT COALESCE(parent, number) FROM ledger_accounts WHERE number = ANY(accounts))
        ORDER BY number FOR NO KEY UPDATE;
    SELECT max(changed_at) INTO latest FROM ledger_accounts WHERE number IN (
        SELECT unnest(accounts) UNION SELECT COALESCE(parent, number) FROM ledger_accounts WHERE number = ANY(accounts));
    RETURN greatest(clock_timestamp(), latest);
END $$;

CREATE FUNCTION payouts_hold() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    wrong text;
    accounts bigint[];
    made_at timestamptz;
BEGIN
    IF NOT EXISTS (SELECT FROM begun WHERE state = 'open') THEN
        RETURN NULL;
    END IF;
    PERFORM payouts_take_turns();
    -- Clearing accounts, on first use.
    INSERT INTO ledger_accounts (client, id, currency, kind, code)
    SELECT DISTINCT '(waybill)', 'payouts:' || b.currency, b.currency, 'payouts', 400
    FROM begun b JOIN ledger_accounts a ON a.client = b.client AND a.id = b.account AND a.currency = b.currency
    WHERE b.state = 'open' AND NOT EXISTS (
        SELECT FROM ledger_accounts k WHERE k.client = '(waybill)' AND k.id = 'payouts:' || b.currency)
    ON CONFLICT (client, id) DO NOTHING;
    SELECT array_agg(a.number) || array_agg(c.number) INTO accounts
    FROM begun b JOIN ledger_accounts a ON a.client = b.client AND a.id = b.account
    JOIN ledger_accounts c ON c.client = '(waybill)' AND c.id = 'payouts:' || b.currency
    WHERE b.state = 'open';
    made_at := payouts_lock_accounts(accounts);
    SELECT b.payout_id INTO wrong
    FROM begun b LEFT JOIN ledger_accounts a ON a.client = b.client AND a.id = b.account AND a.currency = b.currency AND NOT a.closed
    LEFT JOIN ledger_accounts r ON r.number = a.parent
    WHERE b.state = 'open' AND (a.number IS NULL OR r.closed) LIMIT 1;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'payout % is from no open account of its currency', wrong
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payouts_from_an_account', TABLE = 'payouts';
    END IF;
    INSERT INTO ledger_transfers (client, id, phase, debit_account, credit_account, amount, currency, code, user_data, write, created_at)
    SELECT '(waybill)', b.hold_id, 'pending', a.number, c.number, b.amount_minor, b.currency, 4, b.payout_id, 0, made_at
    FROM begun b JOIN ledger_accounts a ON a.client = b.client AND a.id = b.account
    JOIN ledger_accounts c ON c.client = '(waybill)' AND c.id = 'payouts:' || b.currency
    WHERE b.state = 'open' ORDER BY b.saga_id;
    -- Whatever else the account may do, it pays out no more than it has.
    SELECT a.id INTO wrong FROM ledger_accounts a
    WHERE a.number IN (SELECT COALESCE(k.parent, k.number) FROM begun b JOIN ledger_accounts k ON k.client = b.client AND k.id = b.account
                       WHERE b.state = 'open')
      AND a.debits_posted + a.debits_pending > a.credits_posted LIMIT 1;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'account % has not so much', wrong
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payouts_within_balance', TABLE = 'payouts';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER payouts_hold AFTER INSERT ON payouts REFERENCING NEW TABLE AS begun FOR EACH STATEMENT EXECUTE FUNCTION payouts_hold();

CREATE FUNCTION payouts_end() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    accounts bigint[];
    made_at timestamptz;
BEGIN
    IF NOT EXISTS (SELECT FROM after n JOIN before o ON o.saga_id = n.saga_id WHERE o.state = 'open' AND n.state <> 'open') THEN
        RETURN NULL;
    END IF;
    PERFORM payouts_take_turns();
    SELECT array_agg(p.debit_account) || array_agg(p.credit_account) INTO accounts
    FROM after n JOIN before o ON o.saga_id = n.saga_id
    JOIN ledger_transfers p ON p.client = '(waybill)' AND p.id = n.hold_id
    WHERE o.state = 'open' AND n.state <> 'open';
    made_at := payouts_lock_accounts(accounts);
    INSERT INTO ledger_transfers (client, id, phase, debit_account, credit_account, amount, released, pending_id, currency, code,
        user_data, write, created_at)
    SELECT '(waybill)', n.saga_id || CASE n.state WHEN 'refused' THEN ':void' ELSE ':post' END,
        CASE n.state WHEN 'refused' THEN 'void' ELSE 'post' END, p.debit_account, p.credit_account,
        CASE n.state WHEN 'refused' THEN 0 ELSE p.amount END, p.amount, p.id, p.currency, 4, n.payout_id, 0, made_at
    FROM after n JOIN before o ON o.saga_id = n.saga_id
    JOIN ledger_transfers p ON p.client = '(waybill)' AND p.id = n.hold_id
    WHERE o.state = 'open' AND n.state <> 'open' ORDER BY n.saga_id;
    RETURN NULL;
END $$;
CREATE TRIGGER payouts_end AFTER UPDATE ON payouts REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION payouts_end();

-- What could be paid out of an account; NULL: the client has no open account of that id and currency.
CREATE FUNCTION payouts_available(of_client text, of_account text, in_currency text) RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER AS $$
    SELECT LEAST(r.credits_posted - r.debits_posted - r.debits_pending,
        CASE WHEN a.debits_must_not_exceed_credits THEN a.credits_posted - a.debits_posted - a.debits_pending END)
    FROM ledger_accounts a JOIN ledger_accounts r ON r.number = COALESCE(a.parent, a.number)
    WHERE a.client = of_client AND a.id = of_account AND a.currency = in_currency AND NOT a.closed AND NOT r.closed;
$$;

-- An owner's function finds its tables where they are, and is nobody's to put on a table of his own.
DO $$
DECLARE
    signature text;
BEGIN
    FOREACH signature IN ARRAY ARRAY['payouts_hold()', 'payouts_end()', 'payouts_lock_accounts(bigint[])',
        'payouts_available(text, text, text)'] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', signature, current_schema());
        EXECUTE format('ALTER FUNCTION %s SET enable_seqscan = off', signature);
        EXECUTE format('ALTER FUNCTION %s SET jit = off', signature);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', signature);
    END LOOP;
END $$;
