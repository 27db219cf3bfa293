-- An attempt's row is written twice: with its order's intent, and with what became of it. The second is to stay on the first's page,
-- which then needs no new entry of an index (as 0014 has it for sagas), and is not to be locked apart before it is written, which
-- Postgres does for any trigger BEFORE an update, whether or not its condition is met. So what refuses does it AFTER.
ALTER TABLE payment_attempts SET (fillfactor = 50);

DROP TRIGGER payment_attempts_only_forward ON payment_attempts;
CREATE TRIGGER payment_attempts_only_forward AFTER UPDATE ON payment_attempts FOR EACH ROW
    WHEN (NEW.gateway <> OLD.gateway OR NEW.idempotency_key <> OLD.idempotency_key OR NEW.amount_minor <> OLD.amount_minor
          OR NEW.currency <> OLD.currency
          OR (NEW.state <> OLD.state AND (OLD.state IN ('declined', 'not_sent', 'closed', 'refunded')
              OR (OLD.state = 'approved' AND NEW.state <> 'refunded') OR NEW.state = 'open'
              OR (OLD.state = 'closing' AND NEW.state NOT IN ('closed', 'refunded')))))
    EXECUTE FUNCTION payment_attempts_refuse_change();

-- What is given back is marked where it is entered: of the few that are, the row is written once more.
DROP TRIGGER payment_attempts_summed ON payment_attempts;
DROP FUNCTION payment_attempts_summed();
CREATE OR REPLACE FUNCTION payment_attempts_enter() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    UPDATE payment_attempts SET summed = true WHERE order_id = NEW.order_id AND number = NEW.number;
    IF EXISTS (SELECT FROM payment_attempts t WHERE t.order_id = NEW.order_id AND t.number > NEW.number)
       OR NOT EXISTS (SELECT FROM payments p WHERE p.order_id = NEW.order_id) THEN
        INSERT INTO payment_entries VALUES
            ('charge', NEW.gateway, NEW.currency, ARRAY[NEW.begun_at], ARRAY[NEW.amount_minor],
             ARRAY[waybill_fee(NEW.amount_minor, NEW.cost_ppm)]),
            ('refund', NEW.gateway, NEW.currency, ARRAY[NEW.decided_at], ARRAY[NEW.amount_minor], ARRAY[0]);
    END IF;
    RETURN NULL;
END $$;
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION payment_attempts_enter() SET search_path = %I, pg_temp', current_schema());
    EXECUTE 'ALTER FUNCTION payment_attempts_enter() SET enable_seqscan = off';
    EXECUTE 'REVOKE ALL ON FUNCTION payment_attempts_enter() FROM PUBLIC';
END $$;
