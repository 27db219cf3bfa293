-- Gateways that hold the money first, and take it when the order has its driver (docs/adr/0053). A row of payments is money that
-- was taken, as ever: what is held is the attempt's alone.
ALTER TABLE payment_attempts ADD COLUMN capture_later boolean;
ALTER TABLE payment_attempts ADD COLUMN authorized_at timestamptz;
ALTER TABLE payment_attempts ADD COLUMN authorization_expires_at timestamptz;
COMMENT ON COLUMN payment_attempts.capture_later IS 'True: the gateway is asked to authorize the charge, and to capture it later; otherwise to charge it at once.';
COMMENT ON COLUMN payment_attempts.authorized_at IS 'Set and state open: the gateway holds the money; approved: it was captured; closed: it was voided, and nothing was taken.';
COMMENT ON COLUMN payment_attempts.authorization_expires_at IS 'As the gateway said, if it did: later than that it captures nothing.';
ALTER TABLE payment_attempts ADD CONSTRAINT payment_attempts_authorized CHECK (authorized_at IS NULL
    OR (capture_later IS TRUE AND state IN ('open', 'approved', 'closed', 'refunded'))) NOT VALID;
ALTER TABLE payment_attempts ADD CONSTRAINT payment_attempts_authorized_first CHECK (capture_later IS NOT TRUE OR state <> 'approved'
    OR authorized_at IS NOT NULL) NOT VALID;
ALTER TABLE payment_attempts ADD CONSTRAINT payment_attempts_expiry CHECK (authorization_expires_at IS NULL OR authorized_at IS NOT NULL)
    NOT VALID;

-- As before; and what was pending may come to be authorized, which stays written down.
DROP TRIGGER payment_attempts_only_forward ON payment_attempts;
CREATE TRIGGER payment_attempts_only_forward AFTER UPDATE ON payment_attempts FOR EACH ROW
    WHEN (NEW.gateway <> OLD.gateway OR NEW.idempotency_key <> OLD.idempotency_key OR NEW.amount_minor <> OLD.amount_minor
          OR NEW.currency <> OLD.currency OR NEW.capture_later IS DISTINCT FROM OLD.capture_later
          OR (OLD.authorized_at IS NOT NULL AND NEW.authorized_at IS DISTINCT FROM OLD.authorized_at)
          OR (NEW.state <> OLD.state AND (OLD.state IN ('declined', 'not_sent', 'closed', 'refunded')
              OR (OLD.state = 'approved' AND NEW.state <> 'refunded')
              OR (NEW.state = 'open' AND NOT (OLD.state = 'pending' AND NEW.authorized_at IS NOT NULL))
              OR (OLD.state = 'closing' AND NEW.state NOT IN ('closed', 'refunded')))))
    EXECUTE FUNCTION payment_attempts_refuse_change();
