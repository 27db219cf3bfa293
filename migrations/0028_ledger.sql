-- The double-entry ledger (docs/adr/0054). What the rows themselves hold, raw SQL cannot break: transfers are only ever
-- added, balances change by a transfer alone, and every account keeps to its flags.
CREATE TABLE ledger_accounts (
    number           bigint       GENERATED ALWAYS AS IDENTITY,
    debits_posted    bigint       NOT NULL DEFAULT 0,
    credits_posted   bigint       NOT NULL DEFAULT 0,
    debits_pending   bigint       NOT NULL DEFAULT 0,
    credits_pending  bigint       NOT NULL DEFAULT 0,
    version          bigint       NOT NULL DEFAULT 0,
    changed_at       timestamptz  NOT NULL DEFAULT now(),
    parent           bigint,
    code             integer      NOT NULL,
    debits_must_not_exceed_credits  boolean  NOT NULL DEFAULT false,
    credits_must_not_exceed_debits  boolean  NOT NULL DEFAULT false,
    history          boolean      NOT NULL DEFAULT false,
    closed           boolean      NOT NULL DEFAULT false,
    currency         text         COLLATE "C" NOT NULL,
    client           text         COLLATE "C" NOT NULL,
    id               text         COLLATE "C" NOT NULL,
    kind             text         COLLATE "C" NOT NULL,
    owner            text         COLLATE "C" NOT NULL DEFAULT '',
    metadata         jsonb        NOT NULL DEFAULT '{}',
    created_at       timestamptz  NOT NULL DEFAULT now(),
    CONSTRAINT ledger_accounts_pkey PRIMARY KEY (number),
    CONSTRAINT ledger_accounts_client_id UNIQUE (client, id),
    CONSTRAINT ledger_accounts_parent_fkey FOREIGN KEY (parent) REFERENCES ledger_accounts,
    -- A sum beyond 2^63 - 1 is an error of its own.
    CONSTRAINT ledger_accounts_balances_fit CHECK (debits_posted >= 0 AND credits_posted >= 0 AND debits_pending >= 0
        AND credits_pending >= 0 AND debits_posted + debits_pending >= 0 AND credits_posted + credits_pending >= 0),
    CONSTRAINT ledger_accounts_debits_within_credits CHECK (NOT debits_must_not_exceed_credits
        OR debits_posted + debits_pending <= credits_posted),
    CONSTRAINT ledger_accounts_credits_within_debits CHECK (NOT credits_must_not_exceed_debits
        OR credits_posted + credits_pending <= debits_posted),
    CONSTRAINT ledger_accounts_one_limit CHECK (NOT (debits_must_not_exceed_credits AND credits_must_not_exceed_debits))
) WITH (fillfactor = 50);
CREATE INDEX ledger_accounts_by_parent ON ledger_accounts (parent, id) WHERE parent IS NOT NULL;
CREATE INDEX ledger_accounts_by_owner ON ledger_accounts (client, owner, id) WHERE owner <> '';
COMMENT ON COLUMN ledger_accounts.debits_posted IS 'With those of the accounts that belong to it, as the other balances. Only transfers change them.';
COMMENT ON COLUMN ledger_accounts.version IS 'One more with each statement that changes the balances, or closed.';
COMMENT ON COLUMN ledger_accounts.parent IS 'The account that a sub-account or card belongs to; that one belongs to none.';

-- A row is a transfer, or the refusal of one: an id has one of the two, for ever.
CREATE TABLE ledger_transfers (
    number           bigint       GENERATED ALWAYS AS IDENTITY,
    debit_account    bigint,
    credit_account   bigint,
    amount           bigint,
    requested        bigint,
    released         bigint,
    write            bigint       NOT NULL,
    created_at       timestamptz  NOT NULL,
    code             integer,
    timeout_seconds  integer,
    linked           boolean      NOT NULL DEFAULT false,
    balancing_debit  boolean      NOT NULL DEFAULT false,
    balancing_credit boolean      NOT NULL DEFAULT false,
    phase            text         COLLATE "C" NOT NULL,
    currency         text         COLLATE "C",
    client           text         COLLATE "C" NOT NULL,
    id               text         COLLATE "C" NOT NULL,
    pending_id       text         COLLATE "C",
    corrects         text         COLLATE "C",
    user_data        text         COLLATE "C",
    refusal          text         COLLATE "C",
    CONSTRAINT ledger_transfers_pkey PRIMARY KEY (number),
    CONSTRAINT ledger_transfers_client_id UNIQUE (client, id),
    CONSTRAINT ledger_transfers_shape CHECK (CASE phase
        WHEN 'single' THEN released IS NULL AND pending_id IS NULL AND timeout_seconds IS NULL
        WHEN 'pending' THEN released IS NULL AND pending_id IS NULL
        WHEN 'post' THEN released IS NOT NULL AND amount <= released AND pending_id IS NOT NULL AND timeout_seconds IS NULL
        WHEN 'void' THEN released IS NOT NULL AND amount = 0 AND pending_id IS NOT NULL AND timeout_seconds IS NULL
        WHEN 'expired' THEN released IS NOT NULL AND amount = 0 AND pending_id IS NOT NULL AND timeout_seconds IS NULL
        WHEN 'refused' THEN amount IS NULL AND released IS NULL AND pending_id IS NULL AND timeout_seconds IS NULL
        ELSE false END),
    CONSTRAINT ledger_transfers_or_refusal CHECK (CASE phase WHEN 'refused' THEN refusal IS NOT NULL
            AND debit_account IS NULL AND credit_account IS NULL
        ELSE refusal IS NULL AND debit_account <> credit_account AND currency IS NOT NULL AND code IS NOT NULL AND code > 0
            AND debit_account IS NOT NULL AND credit_account IS NOT NULL AND amount IS NOT NULL END),
    CONSTRAINT ledger_transfers_amount CHECK (amount > 0 OR (amount = 0 AND (balancing_debit OR balancing_credit
        OR phase IN ('post', 'void', 'expired')))),
    -- What the services never write; those of orders are visible ASCII.
    CONSTRAINT ledger_transfers_within CHECK (number > 0 AND octet_length(id) BETWEEN 1 AND 200 AND id !~ '[^!-~]'
        AND octet_length(client) BETWEEN 1 AND 200 AND octet_length(pending_id) <= 200 AND octet_length(corrects) <= 200
        AND octet_length(user_data) <= 128 AND timeout_seconds BETWEEN 1 AND 315360000 AND requested >= 0
        AND refusal ~ '^[a-z_]{1,64}$'),
    CONSTRAINT ledger_transfers_balancing CHECK (phase IN ('single', 'pending') OR NOT (balancing_debit OR balancing_credit))
);
CREATE INDEX ledger_transfers_debits ON ledger_transfers (debit_account, created_at, number) WHERE debit_account IS NOT NULL;
CREATE INDEX ledger_transfers_credits ON ledger_transfers (credit_account, created_at, number) WHERE credit_account IS NOT NULL;
-- A pending transfer ends once.
CREATE UNIQUE INDEX ledger_transfers_end_once ON ledger_transfers (client, pending_id) WHERE pending_id IS NOT NULL;
COMMENT ON COLUMN ledger_transfers.number IS 'Along each account in the order in which its balance changed, and so is created_at: of what the services write.';
COMMENT ON COLUMN ledger_transfers.amount IS 'Minor units that were posted or, if pending, are held.';
COMMENT ON COLUMN ledger_transfers.requested IS 'What was asked for, where it is not the amount.';
COMMENT ON COLUMN ledger_transfers.released IS 'What ends a pending transfer: that one''s amount, which is held no longer.';
COMMENT ON COLUMN ledger_transfers.write IS 'Of the call that made it: one whose answer was lost knows its own.';
COMMENT ON COLUMN ledger_transfers.refusal IS 'Why the id is refused; see ledger/result.h.';

-- Pending transfers with a timeout, until they end.
CREATE TABLE ledger_expiries (
    transfer    bigint       NOT NULL,
    expires_at  timestamptz  NOT NULL,
    CONSTRAINT ledger_expiries_pkey PRIMARY KEY (transfer)
);
CREATE INDEX ledger_expiries_due ON ledger_expiries (expires_at);

-- Of accounts that keep it: each balance, since when it was so.
CREATE TABLE ledger_account_history (
    account          bigint       NOT NULL,
    version          bigint       NOT NULL,
    at               timestamptz  NOT NULL,
    debits_posted    bigint       NOT NULL,
    credits_posted   bigint       NOT NULL,
    debits_pending   bigint       NOT NULL,
    credits_pending  bigint       NOT NULL,
    CONSTRAINT ledger_account_history_pkey PRIMARY KEY (account, version)
);
CREATE INDEX ledger_account_history_at ON ledger_account_history (account, at, version);

-- The chain: transfers soon after their commit, in the order of their numbers, and before them the accounts that were
-- opened since the last batch, with all of an account that never changes.
CREATE TABLE ledger_batches (
    number          bigint       NOT NULL,
    first_transfer  bigint       NOT NULL,
    last_transfer   bigint       NOT NULL,
    transfers       bigint       NOT NULL,
    previous_hash   bytea        NOT NULL,
    hash            bytea        NOT NULL,
    sealed_at       timestamptz  NOT NULL DEFAULT clock_timestamp(),
    accounts        bigint       NOT NULL DEFAULT 0,
    last_account    bigint       NOT NULL DEFAULT 0,
    CONSTRAINT ledger_batches_pkey PRIMARY KEY (number),
    CONSTRAINT ledger_batches_from_one CHECK (number > 0 AND first_transfer <= last_transfer AND transfers >= 0
        AND accounts >= 0 AND last_account >= 0),
    CONSTRAINT ledger_batches_hash_lengths CHECK (length(previous_hash) = 32 AND length(hash) = 32)
);
-- Up to which number everything is sealed; and up to which it may be, once each transaction before that one has ended:
-- what was under way at `next_at`. No balance changes any more of a moment before `settled_at`.
CREATE TABLE ledger_seal (
    one             boolean  NOT NULL DEFAULT true,
    sealed          bigint   NOT NULL DEFAULT 0,
    batches         bigint   NOT NULL DEFAULT 0,
    hash            bytea    NOT NULL DEFAULT decode(repeat('00', 32), 'hex'),
    next            bigint   NOT NULL DEFAULT 0,
    next_before     xid8     NOT NULL DEFAULT '0',
    accounts        bigint   NOT NULL DEFAULT 0,
    next_account    bigint   NOT NULL DEFAULT 0,
    next_at         timestamptz  NOT NULL DEFAULT '-infinity',
    settled_at      timestamptz  NOT NULL DEFAULT '-infinity',
    CONSTRAINT ledger_seal_pkey PRIMARY KEY (one),
    CONSTRAINT ledger_seal_one_row CHECK (one),
    CONSTRAINT ledger_seal_hash_length CHECK (length(hash) = 32)
) WITH (fillfactor = 10);
INSERT INTO ledger_seal DEFAULT VALUES;

CREATE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: transfers are added, and only they change balances', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
END $$;

-- Who takes a number has a transaction id before, so sealing knows whom to wait for.
CREATE FUNCTION ledger_transfers_begin() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_current_xact_id();
    RETURN NULL;
END $$;
CREATE TRIGGER ledger_transfers_begin BEFORE INSERT ON ledger_transfers FOR EACH STATEMENT EXECUTE FUNCTION ledger_transfers_begin();
CREATE TRIGGER ledger_accounts_begin BEFORE INSERT ON ledger_accounts FOR EACH STATEMENT EXECUTE FUNCTION ledger_transfers_begin();

-- What a statement's transfers do: each account's sum at once, the accounts in the order of their numbers, so that all who
-- write wait for each other one way only. They are of their accounts' client; Waybill itself, a client that nobody's key is
-- for, moves between whosever they are.
CREATE FUNCTION ledger_post() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    some_end boolean;
    some_expire boolean;
    some_belong boolean;
    wrong text;
    missed bigint;
    not_drawn boolean;
    earliest timestamptz;
    latest timestamptz;
    -- A balance is not of a moment before this, whenever its transfer was thought of: sealing knows by it up to when all
    -- is settled. Read when this transaction has its id.
    since timestamptz := clock_timestamp() - interval '5 seconds';
    versions numeric;
BEGIN
    SELECT bool_or(pending_id IS NOT NULL), bool_or(timeout_seconds IS NOT NULL), min(created_at), max(created_at),
            max(number) > COALESCE(pg_sequence_last_value('ledger_transfers_number_seq'::regclass), 0)
            OR min(number) <= (SELECT sealed FROM ledger_seal)
        INTO some_end, some_expire, earliest, latest, not_drawn FROM made;
    IF not_drawn THEN
        RAISE EXCEPTION 'a number was not drawn for its transfer'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_transfers_number_drawn', TABLE = TG_TABLE_NAME;
    END IF;
    -- Somebody's clock is wrong. Where an account is ahead itself, since the server's clock was, its transfers are as well.
    IF earliest < since - interval '1 day' OR latest > since + interval '1 hour' THEN
        IF earliest < since - interval '1 day' OR latest > COALESCE((SELECT max(greatest(a.changed_at, p.changed_at)) FROM made m
                JOIN ledger_accounts a ON a.number IN (m.debit_account, m.credit_account)
                LEFT JOIN ledger_accounts p ON p.number = a.parent), '-infinity') THEN
            RAISE EXCEPTION 'transfers are of % to %, and it is %', earliest, latest, clock_timestamp()
                USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_transfers_in_time', TABLE = TG_TABLE_NAME;
        END IF;
    END IF;
    IF some_end THEN
        SELECT m.id INTO wrong FROM made m LEFT JOIN ledger_transfers p ON p.client = m.client AND p.id = m.pending_id
        WHERE m.pending_id IS NOT NULL AND (p.phase IS DISTINCT FROM 'pending' OR m.released <> p.amount
            OR m.debit_account <> p.debit_account OR m.credit_account <> p.credit_account OR m.currency <> p.currency
            OR m.number < p.number) LIMIT 1;
        IF wrong IS NOT NULL THEN
            RAISE EXCEPTION 'transfer % does not end a pending transfer as it is', wrong
                USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_transfers_end_as_pending', TABLE = TG_TABLE_NAME;
        END IF;
    END IF;
    some_belong := EXISTS (SELECT FROM ledger_accounts WHERE parent IS NOT NULL);
    -- A closed account takes what sets free, and what Waybill itself has held there: when that is posted, the money has gone.
    WITH legs AS NOT MATERIALIZED (
        SELECT debit_account AS account, client, currency, created_at, phase IN ('void', 'expired') OR (phase = 'post' AND client = '(waybill)') AS may_be_closed,
            CASE WHEN phase IN ('single', 'post') THEN amount ELSE 0 END AS debit, 0::bigint AS credit,
            CASE phase WHEN 'single' THEN 0 WHEN 'pending' THEN amount ELSE -released END AS debit_held, 0::bigint AS credit_held
        FROM made WHERE phase <> 'refused'
        UNION ALL
        SELECT credit_account, client, currency, created_at, phase IN ('void', 'expired') OR (phase = 'post' AND client = '(waybill)'), 0,
            CASE WHEN phase IN ('single', 'post') THEN amount ELSE 0 END, 0,
            CASE phase WHEN 'single' THEN 0 WHEN 'pending' THEN amount ELSE -released END
        FROM made WHERE phase <> 'refused'
    ), every AS NOT MATERIALIZED (
        SELECT * FROM legs
        UNION ALL
        SELECT a.parent, l.client, l.currency, l.created_at, l.may_be_closed, l.debit, l.credit, l.debit_held, l.credit_held
        FROM legs l CROSS JOIN LATERAL (SELECT parent FROM ledger_accounts WHERE number = l.account OFFSET 0) a
        WHERE some_belong AND a.parent IS NOT NULL
    ), sums AS (
        SELECT account, client, currency, max(created_at) AS made_at, bool_and(may_be_closed) AS may_be_closed, sum(debit)::bigint AS debit,
            sum(credit)::bigint AS credit, sum(debit_held)::bigint AS debit_held, sum(credit_held)::bigint AS credit_held
        FROM every GROUP BY account, client, currency ORDER BY account
    ), changed AS (
        UPDATE ledger_accounts a SET debits_posted = a.debits_posted + s.debit, credits_posted = a.credits_posted + s.credit,
            debits_pending = a.debits_pending + s.debit_held, credits_pending = a.credits_pending + s.credit_held,
            version = a.version + 1, changed_at = greatest(a.changed_at, s.made_at, since)
        FROM sums s
        WHERE a.number = s.account AND (a.client = s.client OR s.client = '(waybill)') AND a.currency = s.currency
            AND (NOT a.closed OR s.may_be_closed)
        RETURNING a.number, a.version, a.changed_at, a.history, a.debits_posted, a.credits_posted, a.debits_pending, a.credits_pending
    ), kept AS (
        INSERT INTO ledger_account_history (account, version, at, debits_posted, credits_posted, debits_pending, credits_pending)
        SELECT number, version, changed_at, debits_posted, credits_posted, debits_pending, credits_pending FROM changed WHERE history
    )
    SELECT (SELECT count(*) FROM sums) - count(*), sum(version) INTO missed, versions FROM changed;
    IF missed <> 0 THEN
        RAISE EXCEPTION '% accounts are not there, closed, another client''s, or in another currency', missed
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_transfers_of_open_accounts', TABLE = TG_TABLE_NAME;
    END IF;
    -- For whoever has reckoned with versions: the sum tells, since none of them can be less.
    PERFORM set_config('waybill.ledger_versions', COALESCE(versions, 0)::text, true);
    IF some_expire THEN
        INSERT INTO ledger_expiries (transfer, expires_at)
        SELECT number, created_at + timeout_seconds * interval '1 second' FROM made WHERE timeout_seconds IS NOT NULL;
    END IF;
    IF some_end THEN
        DELETE FROM ledger_expiries e USING made m, ledger_transfers p
        WHERE p.client = m.client AND p.id = m.pending_id AND e.transfer = p.number;
    END IF;
    RETURN NULL;
END $$;
-- Accounts begin empty, and belong to one that belongs to none.
CREATE FUNCTION ledger_accounts_open() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    of ledger_accounts;
BEGIN
    IF NEW.debits_posted <> 0 OR NEW.credits_posted <> 0 OR NEW.debits_pending <> 0 OR NEW.credits_pending <> 0 OR NEW.version <> 0 THEN
        RAISE EXCEPTION 'an account begins empty'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_accounts_begin_empty', TABLE = TG_TABLE_NAME;
    END IF;
    IF NEW.number > COALESCE(pg_sequence_last_value('ledger_accounts_number_seq'::regclass), 0)
        OR NEW.number <= (SELECT accounts FROM ledger_seal) THEN
        RAISE EXCEPTION 'number % was not drawn for this account', NEW.number
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_accounts_number_drawn', TABLE = TG_TABLE_NAME;
    END IF;
    IF greatest(NEW.created_at, NEW.changed_at) > clock_timestamp() + interval '1 hour'
        OR least(NEW.created_at, NEW.changed_at) < clock_timestamp() - interval '1 day' THEN
        RAISE EXCEPTION 'an account is of %, and it is %', NEW.created_at, clock_timestamp()
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_accounts_in_time', TABLE = TG_TABLE_NAME;
    END IF;
    IF NEW.code <= 0 OR NEW.client = '' OR octet_length(NEW.client) > 200 OR octet_length(NEW.owner) > 128 OR NEW.id !~ '^[A-Za-z0-9._:/-]{1,80}$' OR NEW.currency !~ '^[A-Z]{3}$'
        OR NEW.kind !~ '^[a-z][a-z0-9_]{0,31}$' OR jsonb_typeof(NEW.metadata) <> 'object' THEN
        RAISE EXCEPTION 'an account has a code > 0, a client, an id, a currency and a kind'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_accounts_named', TABLE = TG_TABLE_NAME;
    END IF;
    IF NEW.parent IS NOT NULL THEN
        SELECT * INTO of FROM ledger_accounts WHERE number = NEW.parent;
        IF of.number IS NULL OR of.parent IS NOT NULL OR of.currency <> NEW.currency OR of.client <> NEW.client THEN
            RAISE EXCEPTION 'an account belongs to one of the same client and currency that belongs to none'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_accounts_of_a_root', TABLE = TG_TABLE_NAME;
        END IF;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER ledger_accounts_open BEFORE INSERT ON ledger_accounts FOR EACH ROW EXECUTE FUNCTION ledger_accounts_open();

-- Who has an account in memory sees by its version that it was closed, or opened again.
CREATE FUNCTION ledger_accounts_close() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    NEW.version := OLD.version + 1;
    NEW.changed_at := greatest(OLD.changed_at, clock_timestamp());
    IF NEW.history THEN
        INSERT INTO ledger_account_history (account, version, at, debits_posted, credits_posted, debits_pending, credits_pending)
        VALUES (NEW.number, NEW.version, NEW.changed_at, NEW.debits_posted, NEW.credits_posted, NEW.debits_pending, NEW.credits_pending);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER ledger_accounts_close BEFORE UPDATE OF closed ON ledger_accounts FOR EACH ROW WHEN (NEW.closed <> OLD.closed)
    EXECUTE FUNCTION ledger_accounts_close();

-- A statement of anybody's stands at depth 0, what ledger_post does is deeper.
CREATE TRIGGER ledger_balances_by_transfers BEFORE UPDATE OF debits_posted, credits_posted, debits_pending, credits_pending, version, changed_at
    ON ledger_accounts FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_accounts_stay BEFORE UPDATE OF number, parent, code, debits_must_not_exceed_credits, credits_must_not_exceed_debits,
    history, currency, client, id, kind, owner, metadata, created_at
    ON ledger_accounts FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_accounts_last BEFORE DELETE OR TRUNCATE ON ledger_accounts FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_transfers_unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_transfers FOR EACH STATEMENT
    EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_history_by_transfers BEFORE INSERT ON ledger_account_history FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0)
    EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_history_unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_account_history FOR EACH STATEMENT
    EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_expiries_by_transfers BEFORE INSERT OR UPDATE OR DELETE ON ledger_expiries FOR EACH STATEMENT
    WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_expiries_untruncated BEFORE TRUNCATE ON ledger_expiries FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_batches_unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_batches FOR EACH STATEMENT
    EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_seal_last BEFORE DELETE OR TRUNCATE ON ledger_seal FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();

-- A batch follows the head, and the head follows a batch.
CREATE FUNCTION ledger_batches_follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM ledger_seal s WHERE NEW.number = s.batches + 1 AND NEW.first_transfer = s.sealed + 1
            AND NEW.previous_hash = s.hash AND NEW.last_account >= s.accounts) THEN
        RAISE EXCEPTION 'batch % does not follow the head of the chain', NEW.number
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_batches_follow', TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER ledger_batches_follow AFTER INSERT ON ledger_batches FOR EACH ROW EXECUTE FUNCTION ledger_batches_follow();

CREATE FUNCTION ledger_seal_follows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.settled_at < OLD.settled_at OR (CASE
        WHEN NEW.batches = OLD.batches THEN (NEW.sealed, NEW.accounts, NEW.hash) IS DISTINCT FROM (OLD.sealed, OLD.accounts, OLD.hash)
        ELSE NEW.batches <> OLD.batches + 1 OR NOT EXISTS (SELECT FROM ledger_batches b WHERE b.number = NEW.batches
            AND b.first_transfer = OLD.sealed + 1 AND b.last_transfer = NEW.sealed AND b.last_account = NEW.accounts
            AND b.previous_hash = OLD.hash AND b.hash = NEW.hash) END) THEN
        RAISE EXCEPTION 'the head of the chain follows its batches'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_seal_follows', TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER ledger_seal_follows AFTER UPDATE ON ledger_seal FOR EACH ROW EXECUTE FUNCTION ledger_seal_follows();

DO $$
BEGIN
    -- However the planner thinks of tables that were empty when it planned: accounts by their numbers, in order.
    ALTER FUNCTION ledger_post() SET enable_nestloop = on;
    ALTER FUNCTION ledger_post() SET enable_hashjoin = off;
    ALTER FUNCTION ledger_post() SET enable_mergejoin = off;
    ALTER FUNCTION ledger_post() SET enable_seqscan = off;
    ALTER FUNCTION ledger_post() SET jit = off;
END $$;
CREATE TRIGGER ledger_post AFTER INSERT ON ledger_transfers REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION ledger_post();

-- Orders post to the ledger, in the commit in which they book: what a statement writes into payments, partial_refunds and
-- payment_attempts becomes transfers, when its session says so by the setting waybill.ledger. Its value is part of the
-- accounts' ids: sessions with values of their own never wait for each other's accounts, and two with the same one, whose
-- transactions have several such statements, may do so both ways. So each takes one by a lock (kTakeLedgerShard in
-- storage/postgres/saga_journal.h). Of a client that nobody's key is for.
-- No time is before its account's last change: what orders hold also moves to accounts that waybill-ledger's clock has stamped.
CREATE FUNCTION ledger_book(orders text[], whats text[], gateways text[], currencies text[], amounts bigint[], fees bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    shard text := current_setting('waybill.ledger');
BEGIN
    IF COALESCE(cardinality(orders), 0) = 0 THEN
        RETURN;
    END IF;
    gateways := array_replace(gateways, '', 'default');  -- of an order that is not routed
    -- On first use.
    INSERT INTO ledger_accounts (client, id, currency, kind, code)
    SELECT '(waybill)', w.id, w.currency, w.kind, w.code
    FROM (SELECT DISTINCT a.kind || ':' || a.name || m.currency || ':' || shard AS id, m.currency, a.kind, a.code
          FROM unnest(gateways, currencies) AS m (gateway, currency)
          CROSS JOIN LATERAL (VALUES ('gateway', m.gateway || ':', 100), ('orders', '', 200), ('fees', '', 300)) AS a (kind, name, code)) w
    WHERE NOT EXISTS (SELECT FROM ledger_accounts k WHERE k.client = '(waybill)' AND k.id = w.id)
    ORDER BY w.id ON CONFLICT (client, id) DO NOTHING;
    INSERT INTO ledger_transfers (client, id, phase, debit_account, credit_account, amount, currency, code, linked, user_data, write, created_at)
    SELECT '(waybill)', m.order_id || ':' || t.what, 'single', t.debit, t.credit, t.amount, m.currency, t.code, t.linked, m.order_id, 0, greatest(clock_timestamp(), o.changed_at)
    FROM unnest(orders, whats, gateways, currencies, amounts, fees) WITH ORDINALITY AS m (order_id, what, gateway, currency, amount, fee, place)
    JOIN ledger_accounts g ON g.client = '(waybill)' AND g.id = 'gateway:' || m.gateway || ':' || m.currency || ':' || shard
    JOIN ledger_accounts o ON o.client = '(waybill)' AND o.id = 'orders:' || m.currency || ':' || shard
    JOIN ledger_accounts f ON f.client = '(waybill)' AND f.id = 'fees:' || m.currency || ':' || shard
    CROSS JOIN LATERAL (VALUES
        (1, m.what, CASE WHEN m.amount > 0 THEN g.number ELSE o.number END, CASE WHEN m.amount > 0 THEN o.number ELSE g.number END,
            abs(m.amount), CASE WHEN m.amount > 0 THEN 1 ELSE 3 END, m.fee > 0),
        (2, m.what || ':fee', f.number, g.number, m.fee, 2, false)) AS t (nth, what, debit, credit, amount, code, linked)
    WHERE t.amount > 0 ORDER BY m.place, t.nth;
END $$;
COMMENT ON FUNCTION ledger_book IS 'Amounts > 0 were charged, < 0 given back.';

CREATE FUNCTION ledger_book_charges() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM ledger_book(array_agg(b.order_id::text ORDER BY b.order_id, m.what), array_agg(m.what ORDER BY b.order_id, m.what),
        array_agg(COALESCE(a.gateway, '') ORDER BY b.order_id, m.what), array_agg(b.currency ORDER BY b.order_id, m.what),
        array_agg(m.amount ORDER BY b.order_id, m.what), array_agg(m.fee ORDER BY b.order_id, m.what))
    FROM booked b
    LEFT JOIN LATERAL (SELECT t.gateway, t.cost_ppm FROM payment_attempts t WHERE t.order_id = b.order_id ORDER BY t.number DESC LIMIT 1) a ON true
    CROSS JOIN LATERAL (VALUES ('charge', b.amount_minor, waybill_fee(b.amount_minor, a.cost_ppm)), ('refund', -b.refund_minor, 0)) AS m (what, amount, fee)
    WHERE m.amount IS NOT NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER payments_post_charges AFTER INSERT ON payments REFERENCING NEW TABLE AS booked
    FOR EACH STATEMENT WHEN (current_setting('waybill.ledger', true) <> '') EXECUTE FUNCTION ledger_book_charges();

-- As much as the refund grows, without the parts that are posted already.
CREATE FUNCTION ledger_book_refunds() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM ledger_book(array_agg(r.order_id::text ORDER BY r.order_id), array_agg('refund'::text ORDER BY r.order_id),
        array_agg(r.gateway ORDER BY r.order_id), array_agg(r.currency ORDER BY r.order_id), array_agg(-r.amount ORDER BY r.order_id),
        array_agg(0::bigint ORDER BY r.order_id))
    FROM (SELECT n.order_id, n.currency, n.refund_minor
            - COALESCE((SELECT sum(p.amount_minor) FROM partial_refunds p WHERE p.order_id = n.order_id AND p.state IN ('done', 'resolved')), 0)::bigint AS amount,
            COALESCE((SELECT t.gateway FROM payment_attempts t WHERE t.order_id = n.order_id ORDER BY t.number DESC LIMIT 1), '') AS gateway
        FROM after n JOIN before o ON o.order_id = n.order_id
        WHERE n.refund_minor IS NOT NULL AND o.refund_minor IS NULL) r
    WHERE r.amount > 0;
    RETURN NULL;
END $$;
CREATE TRIGGER payments_post_refunds AFTER UPDATE ON payments REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT WHEN (current_setting('waybill.ledger', true) <> '') EXECUTE FUNCTION ledger_book_refunds();

-- A part, unless all had gone back before it was heard of: it was in that.
CREATE FUNCTION ledger_book_part() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM FROM payments WHERE order_id = NEW.order_id AND refund_minor IS NULL FOR NO KEY UPDATE;
    IF FOUND THEN
        PERFORM ledger_book(ARRAY[NEW.order_id::text], ARRAY['part:' || NEW.refund_id], ARRAY[COALESCE(NEW.gateway, '')], ARRAY[NEW.currency],
            ARRAY[-NEW.amount_minor], ARRAY[0::bigint]);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER partial_refunds_post AFTER UPDATE ON partial_refunds FOR EACH ROW
    WHEN (NEW.state IN ('done', 'resolved') AND OLD.state NOT IN ('done', 'resolved') AND current_setting('waybill.ledger', true) <> '')
    EXECUTE FUNCTION ledger_book_part();

-- A charge that was given back when its attempt was left: none of the order's payment, and the gateway's all the same.
CREATE FUNCTION ledger_book_attempt() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF EXISTS (SELECT FROM payment_attempts t WHERE t.order_id = NEW.order_id AND t.number > NEW.number)
       OR NOT EXISTS (SELECT FROM payments p WHERE p.order_id = NEW.order_id) THEN
        PERFORM ledger_book(ARRAY[NEW.order_id::text, NEW.order_id::text],
            ARRAY[format('attempt:%s:charge', NEW.number), format('attempt:%s:refund', NEW.number)], ARRAY[NEW.gateway, NEW.gateway],
            ARRAY[NEW.currency, NEW.currency], ARRAY[NEW.amount_minor, -NEW.amount_minor], ARRAY[waybill_fee(NEW.amount_minor, NEW.cost_ppm), 0]);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER payment_attempts_post AFTER UPDATE ON payment_attempts FOR EACH ROW
    WHEN (NEW.state = 'refunded' AND OLD.state <> 'refunded' AND current_setting('waybill.ledger', true) <> '') EXECUTE FUNCTION ledger_book_attempt();

-- A function finds its tables where they are, temporary ones of a caller's are not taken for ours; and those that act for
-- the tables' owner are nobody's to put on a table of his own.
DO $$
DECLARE
    each record;
BEGIN
    FOR each IN SELECT oid::regprocedure AS signature, prosecdef FROM pg_proc
        WHERE pronamespace = current_schema()::regnamespace AND proname LIKE 'ledger\_%' LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', each.signature, current_schema());
        IF each.prosecdef THEN
            EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', each.signature);
        END IF;
    END LOOP;
    REVOKE ALL ON FUNCTION ledger_book(text[], text[], text[], text[], bigint[], bigint[]) FROM PUBLIC;
    FOR each IN SELECT unnest(ARRAY['ledger_book_charges()', 'ledger_book_refunds()', 'ledger_book_part()', 'ledger_book_attempt()']) AS signature LOOP
        EXECUTE format('ALTER FUNCTION %s SET enable_seqscan = off', each.signature);
        EXECUTE format('ALTER FUNCTION %s SET enable_nestloop = on', each.signature);
        EXECUTE format('ALTER FUNCTION %s SET enable_hashjoin = off', each.signature);
        EXECUTE format('ALTER FUNCTION %s SET enable_mergejoin = off', each.signature);
    END LOOP;
END $$;
