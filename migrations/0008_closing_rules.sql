-- What closing means: it is unfinished, and the only way on is to closed. A completed order is never turned back.

-- Not validated: the rule before it, which every row keeps, says more.
ALTER TABLE order_sagas DROP CONSTRAINT order_sagas_lease_while_unfinished;
ALTER TABLE order_sagas ADD CONSTRAINT order_sagas_lease_while_unfinished
    CHECK ((lease_until IS NOT NULL) = (state IN ('running', 'closing', 'compensating'))) NOT VALID;

DROP TRIGGER order_sagas_only_forward ON order_sagas;
CREATE TRIGGER order_sagas_only_forward BEFORE UPDATE ON order_sagas FOR EACH ROW
    WHEN (NEW.state < OLD.state OR NEW.seq < OLD.seq OR NEW.epoch < OLD.epoch
          OR (OLD.state IN ('closed', 'compensated', 'resolved') AND NEW.state <> OLD.state)
          OR (OLD.state = 'closing' AND NEW.state NOT IN ('closing', 'closed')))
    EXECUTE FUNCTION order_sagas_refuse_backward();
