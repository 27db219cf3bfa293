-- The gateway's name of an attempt that was pending stays written down when it is decided: many a gateway says more of a payment
-- later, and names it by that alone, also when its order has gone on to another gateway since. Every row there is obeys the
-- new rule, which forbids less than the one before.
ALTER TABLE payment_attempts DROP CONSTRAINT payment_attempts_pending_token;
ALTER TABLE payment_attempts ADD CONSTRAINT payment_attempts_pending_token CHECK (pending_token IS NULL OR state <> 'open'
    OR authorized_at IS NOT NULL) NOT VALID;
COMMENT ON COLUMN payment_attempts.pending_token IS 'The gateway''s own, of an attempt that is pending, or was.';
