-- Payments without an order, and payouts, are assessed as orders are (docs/adr/0063): their rows stand beside those of orders, under
-- the ids of their sagas. Replicas of before write orders only, and say nothing of the kind.
ALTER TABLE risk_assessments ADD COLUMN kind text COLLATE "C" NOT NULL DEFAULT 'order',
    ALTER COLUMN user_id DROP NOT NULL,
    ADD CONSTRAINT risk_assessments_kind CHECK (kind IN ('order', 'payment', 'payout')),
    ADD CONSTRAINT risk_assessments_of_whom CHECK (user_id IS NOT NULL OR kind = 'payment');
COMMENT ON COLUMN risk_assessments.order_id IS 'The order''s id, or that of the saga of the payment or payout.';
COMMENT ON COLUMN risk_assessments.user_id IS 'Of a payout the account in the ledger that it is from; null: a payment that names no user.';
COMMENT ON COLUMN risk_assessments.card IS 'Of a payout its destination.';

-- A window counts what its rule is about, which its index has to say.
DROP INDEX risk_assessments_by_user, risk_assessments_by_card, risk_assessments_by_device, risk_assessments_by_address;
CREATE INDEX risk_assessments_by_user ON risk_assessments (client, user_id, at) INCLUDE (kind, currency, amount_minor, order_id) WHERE user_id IS NOT NULL;
CREATE INDEX risk_assessments_by_card ON risk_assessments (client, card, at) INCLUDE (kind, currency, amount_minor, order_id) WHERE card IS NOT NULL;
CREATE INDEX risk_assessments_by_device ON risk_assessments (client, device, at) INCLUDE (kind, currency, amount_minor, order_id) WHERE device IS NOT NULL;
CREATE INDEX risk_assessments_by_address ON risk_assessments (client, address, at) INCLUDE (kind, currency, amount_minor, order_id) WHERE address IS NOT NULL;
