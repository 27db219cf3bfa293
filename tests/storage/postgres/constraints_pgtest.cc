// Each named constraint of the schema, attacked by raw SQL: what no code can break by mistake, nobody breaks by hand.
#include <future>
#include <set>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/eventually.h"
#include "tests/support/migrated_database.h"

namespace waybill::storage {
namespace {

using waybill::testing::MigratedDatabase;
using waybill::testing::SqlResult;

// Order 1 runs, order 2 has succeeded with payment and driver, order 3 is closed, order 4 is compensated, order 5
// resolved.
constexpr char kBooks[] = R"sql(
INSERT INTO order_sagas (order_id, client, idempotency_key, fingerprint, user_id, amount_minor, currency, state, seq, epoch,
                         failure_reason, owner, lease_until, created_at, updated_at)
SELECT ('00000000-0000-7000-8000-00000000000' || n)::uuid, 'shop', 'key-' || n, '\x00', 'ada', 1000, 'EUR', state::saga_state,
       5, 3, CASE WHEN n IN (4, 5) THEN 'NO_DRIVER_AVAILABLE' END, 'host/1', CASE WHEN n IN (1, 6) THEN now() END, now(), now()
FROM (VALUES (1, 'running'), (2, 'succeeded'), (3, 'closed'), (4, 'compensated'), (5, 'resolved'), (6, 'closing')) AS o (n, state);
INSERT INTO order_saga_steps VALUES ('00000000-0000-7000-8000-000000000001', 1, 'charge_payment', 1, 'succeeded', 'running', NULL, now());
INSERT INTO payments VALUES ('00000000-0000-7000-8000-000000000002', 1000, 'EUR', 'ch_2', now());
INSERT INTO payment_attempts (order_id, number, gateway, idempotency_key, amount_minor, currency, state, begun_at, decided_at)
    VALUES ('00000000-0000-7000-8000-000000000001', 1, 'north', 'k1', 1000, 'EUR', 'open', now(), NULL),
           ('00000000-0000-7000-8000-000000000002', 1, 'north', 'k2', 1000, 'EUR', 'not_sent', now(), now()),
           ('00000000-0000-7000-8000-000000000002', 2, 'south', 'k3', 1000, 'EUR', 'approved', now(), now()),
           ('00000000-0000-7000-8000-000000000006', 1, 'north', 'k4', 1000, 'EUR', 'closing', now(), NULL);
INSERT INTO payment_attempts (order_id, number, gateway, idempotency_key, amount_minor, currency, state, begun_at, capture_later, authorized_at)
    VALUES ('00000000-0000-7000-8000-000000000003', 1, 'north', 'k5', 1000, 'EUR', 'open', now(), true, now()),
           ('00000000-0000-7000-8000-000000000003', 2, 'north', 'k6', 1000, 'EUR', 'open', now(), true, NULL);
INSERT INTO partial_refunds (order_id, refund_id, saga_id, gateway, idempotency_key, amount_minor, currency, state, refusal, begun_at, decided_at)
    VALUES ('00000000-0000-7000-8000-000000000002', 'r1', '00000000-0000-7000-8000-000000000007', 'south', 'k3', 400, 'EUR', 'open', '', now(), NULL),
           ('00000000-0000-7000-8000-000000000002', 'r2', '00000000-0000-7000-8000-000000000008', 'south', 'k3', 300, 'EUR', 'done', '', now(), now());
INSERT INTO gateway_settings VALUES ('north', true, 7);
INSERT INTO ledger_accounts (client, id, currency, kind, code, debits_must_not_exceed_credits, credits_must_not_exceed_debits, history)
    VALUES ('shop', 'a', 'EUR', 'bank', 1, false, false, true), ('shop', 'b', 'EUR', 'wallet', 1, true, false, false),
           ('shop', 'c', 'EUR', 'loan', 1, false, true, false);
INSERT INTO ledger_transfers (debit_account, credit_account, amount, released, write, created_at, code, phase, currency, client, id, pending_id)
    VALUES (1, 2, 100, NULL, 1, now(), 1, 'single', 'EUR', 'shop', 't1', NULL), (1, 2, 50, NULL, 1, now(), 1, 'pending', 'EUR', 'shop', 'p1', NULL),
           (1, 2, 50, NULL, 1, now(), 1, 'pending', 'EUR', 'shop', 'p2', NULL);
INSERT INTO ledger_transfers (debit_account, credit_account, amount, released, write, created_at, code, phase, currency, client, id, pending_id)
    VALUES (1, 2, 0, 50, 1, now(), 1, 'void', 'EUR', 'shop', 'v2', 'p2');
INSERT INTO ledger_batches (number, first_transfer, last_transfer, transfers, previous_hash, hash)
    VALUES (1, 1, 4, 4, decode(repeat('00', 32), 'hex'), decode(repeat('11', 32), 'hex'));
INSERT INTO payouts (saga_id, client, payout_id, account, idempotency_key, hold_id, amount_minor, currency, destination, begun_at)
    VALUES ('00000000-0000-7000-8000-000000000001', 'shop', 'p1', 'b', 'k1', 'h1', 10, 'EUR', 'DE02', now()),
           ('00000000-0000-7000-8000-000000000002', 'shop', 'p2', 'b', 'k2', 'h2', 10, 'EUR', 'DE02', now());
UPDATE payouts SET state = 'paid', decided_at = now() WHERE payout_id = 'p2';
INSERT INTO risk_assessments (order_id, client, user_id, amount_minor, currency, at, rules_version, decision, score, shadow_decision, shadow_score, reasons)
  VALUES ('00000000-0000-7000-8000-000000000001', 'shop', 'ada', 1, 'EUR', now(), '1', 'allow', 0, 'allow', 0, '[]');
INSERT INTO gateway_probes (gateway, holder, claimed_at, next_at) VALUES ('north', 'a', now(), now());
INSERT INTO drivers VALUES ('van', 2);
INSERT INTO order_assignments VALUES ('00000000-0000-7000-8000-000000000002', 'ada', 1, now());
INSERT INTO sagas (saga_id, kind, version, dedupe_key, payload, state, seq, epoch, failure_reason, lease_until, created_at, updated_at)
SELECT ('00000000-0000-7000-8000-00000000000' || n)::uuid, 'book_trip', 1, 'key-' || n, '{}', state::saga_state, 5, 3,
       CASE WHEN n = 4 THEN 'FULL' END, CASE WHEN n IN (1, 6) THEN now() END, now(), now()
FROM (VALUES (1, 'running'), (2, 'succeeded'), (4, 'compensated'), (6, 'closing')) AS o (n, state);
INSERT INTO saga_steps VALUES ('00000000-0000-7000-8000-000000000001', 1, 'book_flight', 1, 'succeeded', 'running', NULL, now());
INSERT INTO saga_definitions VALUES ('book_trip', 1, '{book_flight}');
CREATE TABLE some_day PARTITION OF driver_locations DEFAULT;
INSERT INTO saga_signals (saga_id, waits_for, outcome)
    VALUES ('00000000-0000-7000-8000-000000000001', 'charge_payment/do/pi_1', 'succeeded');
INSERT INTO driver_locations (recorded_at, received_at, lat, long, driver_id) VALUES ('2026-05-28 12:00+00', now(), 1, 1, 'ada');
INSERT INTO pending_charges (order_id, token) VALUES ('00000000-0000-7000-8000-000000000001', 'pi_1');
INSERT INTO webhook_inbox (gateway, event_id, event_type, body, state) VALUES ('acme', 'evt_1', '', '', 'late');
INSERT INTO audit_deeds (client, key_id, operator_name, action, subject_kind, subject, detail)
    VALUES ('shop', 'k1', '', 'key.revoke', 'key', 'k2', '{}');
INSERT INTO access_keys (key_id, name, client, scopes, secret_hash, certificate, created_at, created_by)
    VALUES ('k1', 'a key', 'shop', '{ops}', repeat('h', 32)::bytea, NULL, now(), 'root'),
           ('k2', 'a certificate', 'shop', '{ops}', NULL, 'shop.example', now(), 'root');
INSERT INTO access_key_uses VALUES ('k1', now());
INSERT INTO settlements (gateway, name, covers_from, covers_to, state, reconciled_at) VALUES ('north', 'day-1', 'epoch', now(), 'reconciled', now());
INSERT INTO settlement_lines VALUES (1, 1, 'charge', NULL, 'ch_1', 1, 0, 'EUR', now(), '');
INSERT INTO reconciliation_cases (gateway, kind, about, reference, currency, settlement_id) VALUES ('north', 'missing_here', 'charge', 'ch_1', 'EUR', 1);
INSERT INTO webhook_endpoints (endpoint_id, client, url, types, secret, created_at)
    VALUES ('00000000-0000-7000-8000-000000000001', 'shop', 'https://shop.example/', '{*}', 'whsec_AAAA', now());
INSERT INTO webhook_deliveries (endpoint_id, event_id, type, body, created_at, next_at)
    VALUES ('00000000-0000-7000-8000-000000000001', 'evt_1', 'order.confirmed', '{}', now(), now());
)sql";

struct Attack {
  const char* constraint;
  const char* sql;
};

#define ORDER(n) "'00000000-0000-7000-8000-00000000000" #n "'"
#define INSERT_SAGA(id, key, amount, currency, lat, state, reason, lease)                                            \
  "INSERT INTO order_sagas (order_id, client, idempotency_key, fingerprint, user_id, amount_minor, currency, "       \
  "pickup_lat,"                                                                                                      \
  " state, failure_reason, lease_until, created_at, updated_at) VALUES (" id ", 'shop', " key ", '', 'ada', " amount \
  ", " currency ", " lat ", " state ", " reason ", " lease ", now(), now())"

#define ASSESSMENT(n, amount, lat, decision, reasons, until, after)                                                    \
  "INSERT INTO risk_assessments (order_id, client, user_id, amount_minor, currency, position_lat, at, rules_version, " \
  "decision, score, shadow_decision, shadow_score, reasons, review_until, after_review) VALUES (" ORDER(               \
      n) ", 'shop', 'ada', " amount ", 'EUR', " lat ", now(), '1', " decision ", 0, 'allow', 0, " reasons ", " until   \
         ", " after ")"

#define INSERT_ATTEMPT(number, gateway, amount, state, token, decided)                                        \
  "INSERT INTO payment_attempts (order_id, number, gateway, idempotency_key, amount_minor, currency, state, " \
  "pending_token, begun_at, decided_at) VALUES (" ORDER(1) ", " number ", " gateway ", 'k9', " amount         \
                                                           ", 'EUR', " state ", " token ", now(), " decided ")"
#define INSERT_PAYOUT(n, id, key, hold, amount, state, refusal, decided)                                         \
  "INSERT INTO payouts (saga_id, client, payout_id, account, idempotency_key, hold_id, amount_minor, currency, " \
  "destination, state, refusal, begun_at, decided_at) VALUES (" ORDER(n) ", 'shop', " id ", 'b', " key ", " hold \
                                                                         ", " amount ", 'EUR', 'DE02', " state   \
                                                                         ", " refusal ", now(), " decided ")"
#define INSERT_ANY_SAGA(id, version, key, payload, state, reason, lease)                                       \
  "INSERT INTO sagas (saga_id, kind, version, dedupe_key, payload, state, failure_reason, lease_until, "       \
  "created_at, updated_at) VALUES (" id ", 'book_trip', " version ", " key ", " payload ", " state ", " reason \
  ", " lease ", now(), now())"

#define LOCATION(time, place, driver)                                                                             \
  "INSERT INTO driver_locations (recorded_at, received_at, lat, long, driver_id) VALUES (" time ", now(), " place \
  ", " driver ")"

#define INSERT_ENTRY(sequence, action, hash)                                                  \
  "INSERT INTO audit_entries SELECT " sequence ", at, client, key_id, operator_name, " action \
  ", subject_kind, subject, detail, hash, " hash " FROM audit_entries"
#define INSERT_KEY(id, client, scopes, hash, certificate)                                                            \
  "INSERT INTO access_keys (key_id, name, client, scopes, secret_hash, certificate, created_at, created_by) VALUES " \
  "(" id ", 'a key', " client ", " scopes ", " hash ", " certificate ", now(), 'root')"

#define INSERT_SETTLEMENT(name, from, fee, state, reconciled)                                              \
  "INSERT INTO settlements (gateway, name, covers_from, covers_to, fee_ppm, state, reconciled_at) VALUES " \
  "('north', " name ", " from ", now(), " fee ", " state ", " reconciled ")"
#define INSERT_CASE(kind, about, reference, closed)                                                                \
  "INSERT INTO reconciliation_cases (gateway, kind, about, reference, currency, settlement_id, closed_at) VALUES " \
  "('north', " kind ", " about ", " reference ", 'EUR', 1, " closed ")"

#define INSERT_PART(order, refund, saga, amount, currency, state, refusal, decided)                             \
  "INSERT INTO partial_refunds (order_id, refund_id, saga_id, idempotency_key, amount_minor, currency, state, " \
  "refusal, begun_at, decided_at) VALUES (" order ", " refund                                                   \
  ", " ORDER(saga) ", 'k3', " amount ", " currency ", " state ", " refusal ", now(), " decided ")"

constexpr Attack kAttacks[] = {
    {"order_sagas_pkey", INSERT_SAGA(ORDER(1), "'new'", "1", "'EUR'", "NULL", "'running'", "NULL", "now()")},
    {"order_sagas_idempotency_key",
     INSERT_SAGA(ORDER(9), "'key-3'", "1", "'EUR'", "NULL", "'running'", "NULL", "now()")},
    {"order_sagas_key_length", INSERT_SAGA(ORDER(9), "''", "1", "'EUR'", "NULL", "'running'", "NULL", "now()")},
    {"order_sagas_key_length",
     INSERT_SAGA(ORDER(9), "repeat('x', 256)", "1", "'EUR'", "NULL", "'running'", "NULL", "now()")},
    {"order_sagas_amount_positive", INSERT_SAGA(ORDER(9), "'new'", "0", "'EUR'", "NULL", "'running'", "NULL", "now()")},
    {"order_sagas_amount_positive", "UPDATE order_sagas SET amount_minor = -1 WHERE order_id = " ORDER(1)},
    {"order_sagas_currency_iso4217",
     INSERT_SAGA(ORDER(9), "'new'", "1", "'EURO'", "NULL", "'running'", "NULL", "now()")},
    {"order_sagas_pickup_whole", INSERT_SAGA(ORDER(9), "'new'", "1", "'EUR'", "52.5", "'running'", "NULL", "now()")},
    {"order_sagas_lease_while_unfinished",
     INSERT_SAGA(ORDER(9), "'new'", "1", "'EUR'", "NULL", "'running'", "NULL", "NULL")},
    {"order_sagas_lease_while_unfinished", "UPDATE order_sagas SET lease_until = now() WHERE order_id = " ORDER(3)},
    {"order_sagas_lease_while_unfinished", "UPDATE order_sagas SET state = 'closed' WHERE order_id = " ORDER(1)},
    {"order_sagas_turned_back_for_a_reason",
     "UPDATE order_sagas SET state = 'compensating' WHERE order_id = " ORDER(1)},
    {"order_sagas_turned_back_for_a_reason", "UPDATE order_sagas SET failure_reason = NULL WHERE order_id = " ORDER(4)},
    {"order_sagas_only_forward",
     "UPDATE order_sagas SET state = 'running', lease_until = now() WHERE order_id = " ORDER(2)},
    {"order_sagas_only_forward", "UPDATE order_sagas SET state = 'succeeded' WHERE order_id = " ORDER(3)},
    {"order_sagas_only_forward",
     "UPDATE order_sagas SET state = 'compensating', failure_reason = 'x', lease_until = now() WHERE order_id = " ORDER(
         3)},
    {"order_sagas_only_forward", "UPDATE order_sagas SET state = 'resolved' WHERE order_id = " ORDER(4)},
    {"order_sagas_only_forward",
     "UPDATE order_sagas SET state = 'compensating', lease_until = now() WHERE order_id = " ORDER(5)},
    {"order_sagas_only_forward",
     "UPDATE order_sagas SET state = 'compensating', failure_reason = 'x' WHERE order_id = " ORDER(6)},
    {"order_sagas_only_forward",
     "UPDATE order_sagas SET state = 'succeeded', lease_until = NULL WHERE order_id = " ORDER(6)},
    {"order_sagas_lease_while_unfinished", "UPDATE order_sagas SET lease_until = NULL WHERE order_id = " ORDER(6)},
    {"order_sagas_only_forward", "UPDATE order_sagas SET epoch = 2 WHERE order_id = " ORDER(1)},
    {"order_sagas_only_forward", "UPDATE order_sagas SET seq = 4 WHERE order_id = " ORDER(1)},
    {"order_saga_steps_pkey",
     "INSERT INTO order_saga_steps VALUES (" ORDER(1) ", 1, 'x', 1, 'unknown', 'running', NULL, now())"},
    {"order_saga_steps_outcome",
     "INSERT INTO order_saga_steps VALUES (" ORDER(1) ", 2, 'x', 1, 'fine', 'running', NULL, now())"},
    {"order_saga_steps_append_only", "UPDATE order_saga_steps SET detail = 'it was not me' WHERE order_id = " ORDER(1)},
    {"order_sagas_waits_for_something", "UPDATE order_sagas SET waits_for = 'x/do/y' WHERE order_id = " ORDER(1)},
    {"order_sagas_waits_for_something", "UPDATE order_sagas SET wakes_at = now() WHERE order_id = " ORDER(1)},
    {"order_sagas_version_positive",
     "INSERT INTO order_sagas (order_id, client, idempotency_key, fingerprint, user_id, amount_minor, currency, "
     "version, "
     "lease_until, created_at, updated_at) VALUES (" ORDER(
         9) ", 'shop', 'new', '', 'ada', 1, 'EUR', 0, now(), now(), now())"},
    {"order_sagas_only_forward", "UPDATE order_sagas SET version = 2 WHERE order_id = " ORDER(1)},
    {"sagas_pkey", INSERT_ANY_SAGA(ORDER(1), "1", "'new'", "'{}'", "'running'", "NULL", "now()")},
    {"sagas_dedupe_key", INSERT_ANY_SAGA(ORDER(9), "1", "'key-2'", "'{}'", "'running'", "NULL", "now()")},
    {"sagas_key_length", INSERT_ANY_SAGA(ORDER(9), "1", "''", "'{}'", "'running'", "NULL", "now()")},
    {"sagas_key_length", INSERT_ANY_SAGA(ORDER(9), "1", "repeat('x', 256)", "'{}'", "'running'", "NULL", "now()")},
    {"sagas_payload_object", INSERT_ANY_SAGA(ORDER(9), "1", "'new'", "'[]'", "'running'", "NULL", "now()")},
    {"sagas_payload_object", "UPDATE sagas SET payload = 'null' WHERE saga_id = " ORDER(1)},
    {"sagas_version_positive", INSERT_ANY_SAGA(ORDER(9), "0", "'new'", "'{}'", "'running'", "NULL", "now()")},
    {"sagas_lease_while_unfinished", INSERT_ANY_SAGA(ORDER(9), "1", "'new'", "'{}'", "'running'", "NULL", "NULL")},
    {"sagas_lease_while_unfinished", "UPDATE sagas SET state = 'succeeded' WHERE saga_id = " ORDER(1)},
    {"sagas_waits_for_something", "UPDATE sagas SET waits_for = 'book_hotel/do/h-1' WHERE saga_id = " ORDER(1)},
    {"sagas_turned_back_for_a_reason",
     INSERT_ANY_SAGA(ORDER(9), "1", "'new'", "'{}'", "'compensating'", "NULL", "now()")},
    {"sagas_only_forward", "UPDATE sagas SET state = 'running', lease_until = now() WHERE saga_id = " ORDER(2)},
    {"sagas_only_forward", "UPDATE sagas SET state = 'resolved' WHERE saga_id = " ORDER(4)},
    {"sagas_only_forward",
     "UPDATE sagas SET state = 'compensating', failure_reason = 'CANCELLED' WHERE saga_id = " ORDER(6)},
    {"sagas_only_forward", "UPDATE sagas SET epoch = 2 WHERE saga_id = " ORDER(1)},
    {"sagas_only_forward", "UPDATE sagas SET seq = 4 WHERE saga_id = " ORDER(1)},
    {"sagas_only_forward", "UPDATE sagas SET kind = 'buy_house' WHERE saga_id = " ORDER(1)},
    {"sagas_only_forward", "UPDATE sagas SET version = 2 WHERE saga_id = " ORDER(1)},
    {"saga_steps_pkey", "INSERT INTO saga_steps SELECT * FROM saga_steps"},
    {"saga_steps_outcome",
     "INSERT INTO saga_steps VALUES (" ORDER(1) ", 2, 'book_hotel', 1, 'deferred', 'running', NULL, now())"},
    {"saga_steps_append_only", "UPDATE saga_steps SET detail = 'it was not me'"},
    {"saga_definitions_pkey", "INSERT INTO saga_definitions VALUES ('book_trip', 1, '{book_hotel}')"},
    {"saga_definitions_version_positive", "INSERT INTO saga_definitions VALUES ('book_trip', 0, '{book_hotel}')"},
    {"saga_signals_pkey", "INSERT INTO saga_signals (saga_id, waits_for, outcome) VALUES (" ORDER(
                              1) ", 'charge_payment/do/pi_1', 'unknown')"},
    {"saga_signals_outcome",
     "INSERT INTO saga_signals (saga_id, waits_for, outcome) VALUES (" ORDER(1) ", 'charge_payment/do/pi_2', 'later')"},
    {"saga_marks_pkey", "INSERT INTO saga_marks (sagas, mark, next) SELECT sagas, mark, next FROM saga_marks"},
    {"saga_marks_next_not_before_mark", "UPDATE saga_marks SET mark = " ORDER(2) ", next = " ORDER(1)},
    {"payments_one_an_order", "INSERT INTO payments VALUES (" ORDER(2) ", 1000, 'EUR', 'ch_3', now())"},
    {"payments_amount_positive", "INSERT INTO payments VALUES (" ORDER(1) ", 0, 'EUR', 'ch_3', now())"},
    {"payments_refund_within_charge", "UPDATE payments SET refund_minor = 1001, refunded_at = now()"},
    {"payments_refund_within_charge", "UPDATE payments SET refund_minor = 0, refunded_at = now()"},
    {"pending_charges_pkey", "INSERT INTO pending_charges SELECT * FROM pending_charges"},
    {"webhook_inbox_pkey", "INSERT INTO webhook_inbox SELECT * FROM webhook_inbox"},
    {"webhook_inbox_state",
     "INSERT INTO webhook_inbox VALUES ('acme', 'evt_2', now(), '', NULL, NULL, NULL, NULL, '', 'lost')"},
    {"webhook_inbox_due_while_open", "UPDATE webhook_inbox SET due_at = now()"},
    {"webhook_inbox_body_bounded", "UPDATE webhook_inbox SET body = convert_to(repeat('x', 262145), 'UTF8')"},
    {"webhook_inbox_only_forward", "UPDATE webhook_inbox SET state = 'new', due_at = now()"},
    {"webhook_inbox_only_forward", "UPDATE webhook_inbox SET state = 'signalled'"},
    {"payments_refund_whole", "UPDATE payments SET refund_minor = 1000"},
    {"payments_refund_whole", "UPDATE payments SET refunded_at = now()"},
    {"payments_parts_within_charge", INSERT_PART(ORDER(2), "'r3'", 9, "301", "'EUR'", "'open'", "''", "NULL")},
    {"payments_parts_within_charge", INSERT_PART(ORDER(2), "'r3'", 9, "301", "'EUR'", "'done'", "''", "now()")},
    {"payments_parts_within_charge", "UPDATE payments SET amount_minor = 699"},
    {"payments_parts_bounded", "UPDATE payments SET parts = 101"},
    {"partial_refunds_of_an_order_that_stands", INSERT_PART(ORDER(2), "'r3'", 9, "1", "'USD'", "'open'", "''", "NULL")},
    {"partial_refunds_of_a_charge", INSERT_PART(ORDER(3), "'r3'", 9, "1", "'EUR'", "'open'", "''", "NULL")},
    {"partial_refunds_of_an_order_that_stands",
     "WITH turned_back AS (INSERT INTO payments VALUES (" ORDER(
         4) ", 1000, 'EUR', 'ch_4', now()) RETURNING order_id) " INSERT_PART(ORDER(4), "'r3'", 9, "1", "'EUR'",
                                                                             "'open'", "''", "NULL")},
    {"partial_refunds_pkey", INSERT_PART(ORDER(2), "'r1'", 9, "1", "'EUR'", "'open'", "''", "NULL")},
    {"partial_refunds_one_a_saga", INSERT_PART(ORDER(2), "'r3'", 7, "1", "'EUR'", "'open'", "''", "NULL")},
    {"partial_refunds_id_length", INSERT_PART(ORDER(2), "''", 9, "1", "'EUR'", "'open'", "''", "NULL")},
    {"partial_refunds_amount_positive", INSERT_PART(ORDER(2), "'r3'", 9, "-1", "'EUR'", "'open'", "''", "NULL")},
    {"partial_refunds_state", INSERT_PART(ORDER(2), "'r3'", 9, "1", "'EUR'", "'lost'", "''", "now()")},
    {"partial_refunds_decided", INSERT_PART(ORDER(2), "'r3'", 9, "1", "'EUR'", "'open'", "''", "now()")},
    {"partial_refunds_decided", INSERT_PART(ORDER(2), "'r3'", 9, "1", "'EUR'", "'done'", "''", "NULL")},
    {"partial_refunds_refused_for_a_reason",
     INSERT_PART(ORDER(2), "'r3'", 9, "1", "'EUR'", "'refused'", "''", "now()")},
    {"partial_refunds_refused_for_a_reason", INSERT_PART(ORDER(2), "'r3'", 9, "1", "'EUR'", "'open'", "'x'", "NULL")},
    {"partial_refunds_only_forward", "UPDATE partial_refunds SET amount_minor = 1"},
    {"partial_refunds_only_forward",
     "UPDATE partial_refunds SET state = 'refused', refusal = 'x' WHERE refund_id = 'r2'"},
    {"partial_refunds_only_forward",
     "UPDATE partial_refunds SET state = 'open', decided_at = NULL WHERE refund_id = 'r2'"},
    {"payouts_pkey", INSERT_PAYOUT(1, "'p3'", "'k3'", "'h3'", "1", "'open'", "''", "NULL")},
    {"payouts_client_id", INSERT_PAYOUT(3, "'p1'", "'k3'", "'h3'", "1", "'open'", "''", "NULL")},
    {"payouts_one_a_key", INSERT_PAYOUT(3, "'p3'", "'k1'", "'h3'", "1", "'open'", "''", "NULL")},
    {"payouts_one_a_hold", INSERT_PAYOUT(3, "'p3'", "'k3'", "'h1'", "1", "'open'", "''", "NULL")},
    {"payouts_id_length", INSERT_PAYOUT(3, "''", "'k3'", "'h3'", "1", "'open'", "''", "NULL")},
    {"payouts_amount_positive", INSERT_PAYOUT(3, "'p3'", "'k3'", "'h3'", "0", "'open'", "''", "NULL")},
    {"payouts_state", "UPDATE payouts SET state = 'lost', decided_at = now() WHERE payout_id = 'p1'"},
    {"payouts_decided", "UPDATE payouts SET state = 'paid' WHERE payout_id = 'p1'"},
    {"payouts_decided", INSERT_PAYOUT(3, "'p3'", "'k3'", "'h3'", "1", "'open'", "''", "now()")},
    {"payouts_refused_for_a_reason", "UPDATE payouts SET state = 'refused', decided_at = now() WHERE payout_id = 'p1'"},
    {"payouts_refused_for_a_reason", INSERT_PAYOUT(3, "'p3'", "'k3'", "'h3'", "1", "'open'", "'x'", "NULL")},
    {"payouts_begin_open", INSERT_PAYOUT(3, "'p3'", "'k3'", "'h3'", "1", "'paid'", "''", "now()")},
    {"payouts_begin_open", INSERT_PAYOUT(3, "'p3'", "'k3'", "NULL", "1", "'open'", "''", "NULL")},
    {"payouts_begin_open", INSERT_PAYOUT(3, "'p3'", "'k3'", "'h3'", "1", "'refused'", "'x'", "now()")},
    {"payouts_only_forward", "UPDATE payouts SET amount_minor = 1 WHERE payout_id = 'p1'"},
    {"payouts_only_forward", "UPDATE payouts SET hold_id = NULL WHERE payout_id = 'p1'"},
    {"payouts_only_forward", "UPDATE payouts SET destination = 'mine' WHERE payout_id = 'p1'"},
    {"payouts_only_forward", "UPDATE payouts SET idempotency_key = 'k3' WHERE payout_id = 'p1'"},
    {"payouts_only_forward", "UPDATE payouts SET state = 'refused', refusal = 'x' WHERE payout_id = 'p2'"},
    {"payouts_only_forward", "UPDATE payouts SET state = 'open', decided_at = NULL WHERE payout_id = 'p2'"},
    {"payouts_stay", "DELETE FROM payouts"},
    {"payouts_stay", "TRUNCATE payouts"},
    {"payment_attempts_pkey", INSERT_ATTEMPT("1", "'south'", "1000", "'open'", "NULL", "NULL")},
    {"payment_attempts_cost_range", "UPDATE payment_attempts SET cost_ppm = -1"},
    {"payment_attempts_cost_range", "UPDATE payment_attempts SET cost_ppm = 1000001"},
    {"payment_entries_kind", "INSERT INTO payment_entries VALUES ('tip', '', 'EUR', '{epoch}', '{1}', '{0}')"},
    {"payment_entries_whole", "INSERT INTO payment_entries VALUES ('charge', '', 'EUR', '{}', '{}', '{}')"},
    {"payment_entries_whole", "INSERT INTO payment_entries VALUES ('charge', '', 'EUR', '{epoch}', '{1,2}', '{0}')"},
    {"payment_entries_whole", "INSERT INTO payment_entries VALUES ('charge', '', 'EUR', '{epoch}', '{1}', '{}')"},
    {"payment_sums_kind", "INSERT INTO payment_sums VALUES (1, 'epoch', 'tip', '', 'EUR', 1, 1, 0)"},
    {"payment_sums_pkey",
     "INSERT INTO payment_sums SELECT 1, 'epoch', 'charge', '', 'EUR', 1, 1, 0 FROM generate_series(1, 2)"},
    {"payment_sums_each_of_a_second", "INSERT INTO payment_sums VALUES (0, 'epoch', 'charge', '', 'EUR', 1, 1, 0)"},
    {"payment_sums_each_of_a_second",
     "INSERT INTO payment_sums VALUES (0, 'epoch', 'charge', '', 'EUR', 2, 1, 0, '{epoch}', '{1}', '{0}')"},
    {"payment_sums_each_of_a_second",
     "INSERT INTO payment_sums VALUES (1, 'epoch', 'charge', '', 'EUR', 1, 1, 0, '{epoch}', '{1}', '{0}')"},
    {"payment_sums_rest_source", "INSERT INTO payment_sums_rest VALUES ('refunds', " ORDER(1) ", " ORDER(1) ")"},
    {"payment_sums_rest_pkey",
     "INSERT INTO payment_sums_rest SELECT 'payments', " ORDER(1) ", " ORDER(1) " FROM generate_series(1, 2)"},
    {"payment_attempts_number_positive", INSERT_ATTEMPT("0", "'south'", "1000", "'open'", "NULL", "NULL")},
    {"payment_attempts_gateway_name", INSERT_ATTEMPT("2", "'South'", "1000", "'open'", "NULL", "NULL")},
    {"payment_attempts_gateway_name", INSERT_ATTEMPT("2", "repeat('a', 41)", "1000", "'open'", "NULL", "NULL")},
    {"payment_attempts_amount_positive", INSERT_ATTEMPT("2", "'south'", "0", "'open'", "NULL", "NULL")},
    {"payment_attempts_state", INSERT_ATTEMPT("2", "'south'", "1000", "'lost'", "NULL", "now()")},
    {"payment_attempts_decided", INSERT_ATTEMPT("2", "'south'", "1000", "'approved'", "NULL", "NULL")},
    {"payment_attempts_decided", INSERT_ATTEMPT("2", "'south'", "1000", "'open'", "NULL", "now()")},
    {"payment_attempts_pending_token", INSERT_ATTEMPT("2", "'south'", "1000", "'open'", "'pi_1'", "NULL")},
    {"payment_attempts_only_forward", "UPDATE payment_attempts SET gateway = 'west' WHERE idempotency_key = 'k1'"},
    {"payment_attempts_only_forward", "UPDATE payment_attempts SET amount_minor = 1 WHERE idempotency_key = 'k1'"},
    {"payment_attempts_only_forward", "UPDATE payment_attempts SET idempotency_key = '' WHERE idempotency_key = 'k1'"},
    {"payment_attempts_only_forward", "UPDATE payment_attempts SET currency = 'USD' WHERE idempotency_key = 'k1'"},
    {"payment_attempts_only_forward", "UPDATE payment_attempts SET state = 'approved' WHERE idempotency_key = 'k2'"},
    {"payment_attempts_only_forward", "UPDATE payment_attempts SET state = 'declined' WHERE idempotency_key = 'k3'"},
    {"payment_attempts_only_forward",
     "UPDATE payment_attempts SET state = 'open', decided_at = NULL WHERE idempotency_key = 'k3'"},
    {"payment_attempts_only_forward",
     "UPDATE payment_attempts SET state = 'approved', decided_at = now() WHERE idempotency_key = 'k4'"},
    {"payment_attempts_only_forward", "UPDATE payment_attempts SET authorized_at = NULL WHERE idempotency_key = 'k5'"},
    {"payment_attempts_only_forward", "UPDATE payment_attempts SET capture_later = NULL WHERE idempotency_key = 'k6'"},
    {"payment_attempts_only_forward", "UPDATE payment_attempts SET capture_later = true WHERE idempotency_key = 'k1'"},
    {"payment_attempts_authorized", "UPDATE payment_attempts SET authorized_at = now() WHERE idempotency_key = 'k1'"},
    {"payment_attempts_authorized",
     "UPDATE payment_attempts SET state = 'declined', decided_at = now() WHERE idempotency_key = 'k5'"},
    {"payment_attempts_authorized_first",
     "UPDATE payment_attempts SET state = 'approved', decided_at = now() WHERE idempotency_key = 'k6'"},
    {"payment_attempts_expiry",
     "UPDATE payment_attempts SET authorization_expires_at = now() WHERE idempotency_key = 'k6'"},
    {"gateway_settings_pkey", "INSERT INTO gateway_settings VALUES ('north')"},
    {"gateway_settings_gateway_name", "INSERT INTO gateway_settings VALUES ('')"},
    {"gateway_settings_weight_range", "UPDATE gateway_settings SET weight = 0"},
    {"gateway_settings_weight_range", "UPDATE gateway_settings SET weight = 1001"},
    {"risk_assessments_one_an_order", ASSESSMENT(1, "1", "NULL", "'allow'", "'[]'", "NULL", "NULL")},
    {"risk_assessments_amount_positive", ASSESSMENT(9, "0", "NULL", "'allow'", "'[]'", "NULL", "NULL")},
    {"risk_assessments_position_whole", ASSESSMENT(9, "1", "52.5", "'allow'", "'[]'", "NULL", "NULL")},
    {"risk_assessments_said",
     "INSERT INTO risk_assessments (order_id, client, user_id, card, amount_minor, currency, at, rules_version, "
     "decision, "
     "score, shadow_decision, shadow_score, reasons) VALUES (" ORDER(9) ", 'shop', 'ada', '', 1, 'EUR', now(), '1', "
                                                                        "'allow', 0, 'allow', 0, '[]')"},
    {"risk_assessments_decision", ASSESSMENT(9, "1", "NULL", "'maybe'", "'[]'", "NULL", "NULL")},
    {"risk_assessments_review", ASSESSMENT(9, "1", "NULL", "'review'", "'[]'", "NULL", "NULL")},
    {"risk_assessments_review", ASSESSMENT(9, "1", "NULL", "'deny'", "'[]'", "now()", "'deny'")},
    {"risk_assessments_after_review", ASSESSMENT(9, "1", "NULL", "'review'", "'[]'", "now()", "'review'")},
    {"risk_assessments_reasons", ASSESSMENT(9, "1", "NULL", "'allow'", "'{}'", "NULL", "NULL")},
    {"risk_assessments_kind",
     "INSERT INTO risk_assessments (order_id, client, user_id, amount_minor, currency, at, rules_version, decision, "
     "score, shadow_decision, shadow_score, reasons, kind) VALUES (" ORDER(
         9) ", 'shop', 'ada', 1, 'EUR', now(), '1', "
            "'allow', 0, 'allow', 0, '[]', 'refund')"},
    {"risk_assessments_of_whom",
     "INSERT INTO risk_assessments (order_id, client, amount_minor, currency, at, rules_version, decision, score, "
     "shadow_decision, shadow_score, reasons, kind) VALUES (" ORDER(9) ", 'shop', 1, 'EUR', now(), '1', 'allow', 0, "
                                                                       "'allow', 0, '[]', 'payout')"},
    {"risk_assessments_append_only", "UPDATE risk_assessments SET score = 1"},
    {"ledger_accounts_pkey",
     "INSERT INTO ledger_accounts (number, client, id, currency, kind, code) OVERRIDING SYSTEM VALUE VALUES (1, "
     "'shop', 'z', 'EUR', 'bank', 1)"},
    {"ledger_accounts_client_id",
     "INSERT INTO ledger_accounts (client, id, currency, kind, code, debits_must_not_exceed_credits, "
     "credits_must_not_exceed_debits) VALUES ('shop', 'a', 'EUR', 'bank', 1, false, false)"},
    {"ledger_accounts_one_limit",
     "INSERT INTO ledger_accounts (client, id, currency, kind, code, debits_must_not_exceed_credits, "
     "credits_must_not_exceed_debits) VALUES ('shop', 'z', 'EUR', 'bank', 1, true, true)"},
    {"ledger_accounts_debits_within_credits",
     "INSERT INTO ledger_transfers (debit_account, credit_account, amount, released, write, created_at, code, phase, "
     "currency, client, id, pending_id, balancing_debit) VALUES (2, 1, 1000, NULL, 1, now(), 1, 'single', 'EUR', "
     "'shop', 'x', NULL, false)"},
    {"ledger_accounts_credits_within_debits",
     "INSERT INTO ledger_transfers (debit_account, credit_account, amount, released, write, created_at, code, phase, "
     "currency, client, id, pending_id, balancing_debit) VALUES (1, 3, 1000, NULL, 1, now(), 1, 'single', 'EUR', "
     "'shop', 'x', NULL, false)"},
    {"ledger_accounts_stay", "UPDATE ledger_accounts SET kind = 'bank'"},
    {"ledger_accounts_last", "DELETE FROM ledger_accounts"},
    {"ledger_accounts_last", "TRUNCATE ledger_accounts CASCADE"},
    {"ledger_balances_by_transfers", "UPDATE ledger_accounts SET credits_posted = credits_posted + 1 WHERE number = 2"},
    {"ledger_transfers_pkey",
     "INSERT INTO ledger_transfers (number, debit_account, credit_account, amount, write, created_at, code, phase, "
     "currency, client, id) OVERRIDING SYSTEM VALUE VALUES (1, 1, 2, 5, 1, now(), 1, 'single', 'EUR', 'shop', 'x')"},
    {"ledger_transfers_client_id",
     "INSERT INTO ledger_transfers (debit_account, credit_account, amount, released, write, created_at, code, phase, "
     "currency, client, id, pending_id, balancing_debit) VALUES (1, 2, 5, NULL, 1, now(), 1, 'single', 'EUR', 'shop', "
     "'t1', NULL, false)"},
    {"ledger_transfers_amount",
     "INSERT INTO ledger_transfers (debit_account, credit_account, amount, released, write, created_at, code, phase, "
     "currency, client, id, pending_id, balancing_debit) VALUES (1, 2, 0, NULL, 1, now(), 1, 'single', 'EUR', 'shop', "
     "'x', NULL, false)"},
    {"ledger_transfers_amount",
     "INSERT INTO ledger_transfers (debit_account, credit_account, amount, released, write, created_at, code, phase, "
     "currency, client, id, pending_id, balancing_debit) VALUES (1, 2, -5, NULL, 1, now(), 1, 'single', 'EUR', 'shop', "
     "'x', NULL, false)"},
    {"ledger_transfers_balancing",
     "INSERT INTO ledger_transfers (debit_account, credit_account, amount, released, write, created_at, code, phase, "
     "currency, client, id, pending_id, balancing_debit) VALUES (1, 2, 0, 50, 1, now(), 1, 'void', 'EUR', 'shop', 'x', "
     "'p1', true)"},
    {"ledger_transfers_or_refusal",
     "INSERT INTO ledger_transfers (debit_account, credit_account, amount, released, write, created_at, code, phase, "
     "currency, client, id, pending_id, balancing_debit) VALUES (1, 1, 5, NULL, 1, now(), 1, 'single', 'EUR', 'shop', "
     "'x', NULL, false)"},
    {"ledger_transfers_shape",
     "INSERT INTO ledger_transfers (debit_account, credit_account, amount, released, write, created_at, code, phase, "
     "currency, client, id, pending_id, balancing_debit) VALUES (1, 2, 5, 5, 1, now(), 1, 'single', 'EUR', 'shop', "
     "'x', NULL, false)"},
    {"ledger_transfers_within",
     "INSERT INTO ledger_transfers (debit_account, credit_account, amount, released, write, created_at, code, phase, "
     "currency, client, id, pending_id, balancing_debit) VALUES (1, 2, 5, NULL, 1, now(), 1, 'single', 'EUR', 'shop', "
     "'x y', NULL, false)"},
    {"ledger_transfers_end_once",
     "INSERT INTO ledger_transfers (debit_account, credit_account, amount, released, write, created_at, code, phase, "
     "currency, client, id, pending_id, balancing_debit) VALUES (1, 2, 0, 50, 1, now(), 1, 'void', 'EUR', 'shop', 'x', "
     "'p2', false)"},
    {"ledger_transfers_unchanged", "UPDATE ledger_transfers SET amount = 1"},
    {"ledger_transfers_unchanged", "DELETE FROM ledger_transfers"},
    {"ledger_history_by_transfers", "INSERT INTO ledger_account_history VALUES (1, 99, now(), 0, 0, 0, 0)"},
    {"ledger_history_unchanged", "DELETE FROM ledger_account_history"},
    {"ledger_expiries_by_transfers", "INSERT INTO ledger_expiries VALUES (99, now())"},
    {"ledger_expiries_untruncated", "TRUNCATE ledger_expiries"},
    {"ledger_batches_pkey", "INSERT INTO ledger_batches SELECT * FROM ledger_batches"},
    {"ledger_batches_from_one",
     "INSERT INTO ledger_batches SELECT 0, first_transfer, last_transfer, transfers, previous_hash, hash FROM "
     "ledger_batches"},
    {"ledger_batches_hash_lengths",
     "INSERT INTO ledger_batches SELECT 2, first_transfer, last_transfer, transfers, previous_hash, '\\x00' FROM "
     "ledger_batches"},
    {"ledger_batches_unchanged", "UPDATE ledger_batches SET transfers = 9"},
    {"ledger_batches_follow",
     "INSERT INTO ledger_batches SELECT 7, first_transfer, last_transfer, transfers, previous_hash, hash FROM "
     "ledger_batches"},
    {"ledger_seal_last", "DELETE FROM ledger_seal"},
    {"ledger_seal_follows", "UPDATE ledger_seal SET sealed = 99"},
    {"ledger_seal_pkey", "INSERT INTO ledger_seal DEFAULT VALUES"},
    {"ledger_seal_one_row", "INSERT INTO ledger_seal (one) VALUES (false)"},
    {"ledger_seal_hash_length", "UPDATE ledger_seal SET hash = '\\x00'"},
    {"gateway_probes_pkey",
     "INSERT INTO gateway_probes (gateway, holder, claimed_at, next_at) VALUES ('north', 'b', now(), now())"},
    {"gateway_probes_gateway_name",
     "INSERT INTO gateway_probes (gateway, holder, claimed_at, next_at) VALUES ('', 'b', now(), now())"},
    {"gateway_probes_outcome", "UPDATE gateway_probes SET outcome = 'fine', asked_at = now()"},
    {"gateway_probes_asked", "UPDATE gateway_probes SET outcome = 'healthy'"},
    {"gateway_probes_min_response",
     "UPDATE gateway_probes SET outcome = 'healthy', asked_at = now(), min_response_ms = -1"},
    {"gateway_probes_min_response",
     "UPDATE gateway_probes SET outcome = 'limited', asked_at = now(), min_response_ms = 1"},
    {"drivers_pkey", "INSERT INTO drivers VALUES ('van', 3)"},
    {"drivers_capacity_range", "INSERT INTO drivers VALUES ('ghost', -1)"},
    {"drivers_capacity_range", "UPDATE drivers SET capacity = 0, capacity_on_duty = 1001"},
    {"drivers_capacity_kept_off_duty", "INSERT INTO drivers VALUES ('ghost', 0)"},
    {"drivers_capacity_kept_off_duty", "UPDATE drivers SET capacity_on_duty = 3"},
    {"drivers_capacity_range", "UPDATE drivers SET capacity = 1001"},
    {"order_assignments_one_driver", "INSERT INTO order_assignments VALUES (" ORDER(2) ", 'bob', 1, now())"},
    {"order_assignments_slot_positive", "INSERT INTO order_assignments VALUES (" ORDER(1) ", 'bob', 0, now())"},
    {"order_assignments_slot_taken", "INSERT INTO order_assignments VALUES (" ORDER(1) ", 'ada', 1, now())"},
    {"order_assignments_within_capacity", "INSERT INTO order_assignments VALUES (" ORDER(1) ", 'ada', 2, now())"},
    {"order_assignments_within_capacity", "INSERT INTO order_assignments VALUES (" ORDER(1) ", 'van', 3, now())"},
    {"order_assignments_within_capacity", "UPDATE order_assignments SET slot = 2 WHERE order_id = " ORDER(2)},
    {"order_assignments_stays_crowded", "INSERT INTO order_assignments VALUES (" ORDER(
                                            1) ", 'van', 2, now()); "
                                               "UPDATE order_assignments SET driver_id = 'van' WHERE order_id = " ORDER(
                                                   2) "; DELETE FROM drivers; "
                                                      "UPDATE order_assignments SET crowded = false"},
    {"order_assignments_off_duty_keeper",
     "INSERT INTO order_assignments (order_id, driver_id, slot, assigned_at, off_duty) VALUES (" ORDER(
         1) ", 'bob', 1, now(), true)"},
    {"order_assignments_off_duty_keeper",
     "INSERT INTO order_assignments (order_id, driver_id, slot, assigned_at, off_duty) VALUES (md5('off duty "
     "van')::uuid, "
     "'van', 2, now(), true)"},
    {"order_assignments_off_duty_keeper",
     "INSERT INTO drivers VALUES ('bob', 0, 1); UPDATE order_assignments SET driver_id = 'eve' WHERE off_duty"},
    {"access_keys_pkey", INSERT_KEY("'k1'", "'shop'", "'{ops}'", "repeat('h', 32)::bytea", "NULL")},
    {"access_keys_secret_or_certificate", INSERT_KEY("'k9'", "'shop'", "'{ops}'", "NULL", "NULL")},
    {"access_keys_secret_or_certificate", INSERT_KEY("'k9'", "'shop'", "'{ops}'", "repeat('h', 32)::bytea", "'a.b'")},
    {"access_keys_hash_length", INSERT_KEY("'k9'", "'shop'", "'{ops}'", "repeat('h', 31)::bytea", "NULL")},
    {"access_keys_client_length", INSERT_KEY("'k9'", "''", "'{ops}'", "repeat('h', 32)::bytea", "NULL")},
    {"access_keys_client_length", INSERT_KEY("'k9'", "repeat('x', 129)", "'{ops}'", "repeat('h', 32)::bytea", "NULL")},
    {"access_keys_some_scope", INSERT_KEY("'k9'", "'shop'", "'{}'", "repeat('h', 32)::bytea", "NULL")},
    {"access_keys_certificate_in_use", INSERT_KEY("'k9'", "'shop'", "'{ops}'", "NULL", "'shop.example'")},
    {"access_key_uses_pkey", "INSERT INTO access_key_uses VALUES ('k1', now())"},
    {"access_version_pkey", "INSERT INTO access_version VALUES (true, 7)"},
    {"access_version_one_row", "INSERT INTO access_version VALUES (false, 7)"},
    {"audit_deeds_pkey",
     "INSERT INTO audit_deeds OVERRIDING SYSTEM VALUE SELECT 9, client, key_id, operator_name, action, subject_kind, "
     "subject, detail FROM audit_entries, generate_series(1, 2)"},
    {"audit_entries_pkey", "INSERT INTO audit_entries SELECT * FROM audit_entries"},
    {"audit_entries_sequence_positive", INSERT_ENTRY("0", "action", "hash")},
    {"audit_entries_action_named", INSERT_ENTRY("2", "''", "hash")},
    {"audit_entries_hash_lengths", INSERT_ENTRY("2", "action", "'x'")},
    {"audit_entries_unchanged", "UPDATE audit_entries SET client = 'nobody'"},
    {"audit_entries_unchanged", "DELETE FROM audit_entries"},
    {"audit_entries_untruncated", "TRUNCATE audit_entries"},
    {"audit_head_pkey", "INSERT INTO audit_head SELECT * FROM audit_head"},
    {"audit_head_one_row", "INSERT INTO audit_head SELECT false, sequence, hash FROM audit_head"},
    {"audit_head_hash_length", "UPDATE audit_head SET hash = ''"},
    {"settlements_pkey", "INSERT INTO settlements OVERRIDING SYSTEM VALUE SELECT s.* FROM settlements s"},
    {"settlements_covers_some_time", INSERT_SETTLEMENT("'day-2'", "now()", "NULL", "'reconciled'", "now()")},
    {"settlements_fee_whole", INSERT_SETTLEMENT("'day-2'", "'epoch'", "1", "'reconciled'", "now()")},
    {"settlements_reconciled_once", INSERT_SETTLEMENT("'day-2'", "'epoch'", "NULL", "'loading'", "now()")},
    {"settlements_reconciled_once", INSERT_SETTLEMENT("'day-2'", "'epoch'", "NULL", "'reconciled'", "NULL")},
    {"settlements_one_of_a_name", INSERT_SETTLEMENT("'day-1'", "'epoch'", "NULL", "'reconciled'", "now()")},
    {"settlement_lines_pkey", "INSERT INTO settlement_lines SELECT * FROM settlement_lines"},
    {"settlement_lines_of_a_settlement", "UPDATE settlement_lines SET settlement_id = 9"},
    {"settlement_lines_kind", "UPDATE settlement_lines SET kind = 'tip'"},
    {"settlement_lines_line_positive", "UPDATE settlement_lines SET line = 0"},
    {"reconciliation_cases_pkey",
     "INSERT INTO reconciliation_cases OVERRIDING SYSTEM VALUE SELECT * FROM reconciliation_cases"},
    {"reconciliation_cases_kind", "UPDATE reconciliation_cases SET kind = 'odd', order_id = " ORDER(1)},
    {"reconciliation_cases_about", INSERT_CASE("'missing_here'", "'tip'", "'ch_2'", "NULL")},
    {"reconciliation_cases_about_something", INSERT_CASE("'amount'", "'charge'", "'ch_2'", "NULL")},
    {"reconciliation_cases_closed_for_a_reason", INSERT_CASE("'missing_here'", "'charge'", "'ch_2'", "now()")},
    {"reconciliation_cases_one_open", INSERT_CASE("'missing_here'", "'charge'", "'ch_1'", "NULL")},
    {"webhook_endpoints_pkey", "INSERT INTO webhook_endpoints SELECT * FROM webhook_endpoints"},
    {"webhook_endpoints_types_named", "UPDATE webhook_endpoints SET types = '{}'"},
    {"webhook_endpoints_previous_ends", "UPDATE webhook_endpoints SET previous_secret = 'whsec_BBBB'"},
    {"webhook_endpoints_previous_ends", "UPDATE webhook_endpoints SET previous_until = now()"},
    {"webhook_endpoints_deleted_is_over", "UPDATE webhook_endpoints SET deleted_at = now(), enabled = false"},
    {"webhook_endpoints_deleted_is_over", "UPDATE webhook_endpoints SET deleted_at = now(), secret = ''"},
    {"webhook_deliveries_pkey", "INSERT INTO webhook_deliveries SELECT * FROM webhook_deliveries"},
    {"webhook_deliveries_state_known", "UPDATE webhook_deliveries SET state = 'lost'"},
    {"webhook_deliveries_ended_by_a_reason", "UPDATE webhook_deliveries SET state = 'dead'"},
    {"webhook_deliveries_ended_by_a_reason", "UPDATE webhook_deliveries SET reason = 'why'"},
    {"driver_locations_once", LOCATION("'2026-05-28 12:00+00'", "1, 1", "'ada'")},
    {"driver_locations_on_earth", LOCATION("'2026-05-28 13:00+00'", "90.1, 1", "'ada'")},
    {"driver_locations_on_earth", LOCATION("'2026-05-28 13:00+00'", "1, -180.1", "'ada'")},
    {"driver_locations_on_earth", LOCATION("'2026-05-28 13:00+00'", "1, 'NaN'", "'ada'")},
    {"driver_locations_id_length", LOCATION("'2026-05-28 13:00+00'", "1, 1", "''")},
    {"driver_locations_id_length", LOCATION("'2026-05-28 13:00+00'", "1, 1", "repeat('x', 129)")},
};

class ConstraintsTest : public ::testing::Test {
 protected:
  ConstraintsTest() { database_.sql().Exec(kBooks); }
  MigratedDatabase database_;
};

TEST_F(ConstraintsTest, EachRefusesWhatWouldBreakIt) {
  for (const Attack& attack : kAttacks) {
    SqlResult result = database_.sql().Run(attack.sql);
    // A partition's key has a name of its own.
    const std::string parent = database_.sql().Value(
        "SELECT p.conname FROM pg_constraint c JOIN pg_constraint p ON p.oid = c.conparentid WHERE c.conname = $1",
        {result.constraint});
    EXPECT_EQ(parent.empty() ? result.constraint : parent, attack.constraint)
        << attack.sql << "\n"
        << result.sqlstate << " " << result.message;
    EXPECT_EQ(result.sqlstate.substr(0, 2), "23") << attack.sql;
  }
}

TEST_F(ConstraintsTest, NoneIsWithoutAnAttack) {
  std::set<std::string> attacked, named;
  for (const Attack& attack : kAttacks) attacked.insert(attack.constraint);
  for (const auto& row : database_.sql().Rows(
           "SELECT conname FROM pg_constraint JOIN pg_class c ON c.oid = conrelid "
           "WHERE c.relnamespace = 'public'::regnamespace AND contype IN ('c', 'p', 'u', 'x', 'f') "
           "AND NOT c.relispartition "
           // Nobody comes to these, since triggers stand before them.
           "AND conname NOT IN ('ledger_accounts_parent_fkey', 'ledger_accounts_balances_fit', "
           "'ledger_account_history_pkey', 'ledger_expiries_pkey', 'payouts_held') "
           // These refuse nothing: they keep order when a capacity is lowered or a driver goes off duty, an older
           // version goes on, a refund is refused, a lease is given, cut short or ended, or a key changes, and make
           // entries of deeds and of payments.
           "UNION SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgname NOT IN "
           "('drivers_lowered', 'drivers_truncated', 'drivers_come_off_duty', 'order_assignments_given_back', "
           "'order_assignments_kept_off_duty', 'order_assignments_truncated', 'order_sagas_go_on', "
           "'order_sagas_due_by_lease', 'partial_refunds_free', 'sagas_due_by_lease', 'access_keys_changed', "
           "'audit_deeds_become_entries', 'payments_enter_charges', 'payments_enter_refund', 'payment_attempts_enter', "
           "'partial_refunds_enter', "
           // What payouts mean in the ledger, refused by names of its own (payout_store_pgtest).
           "'payouts_hold', 'payouts_end', "
           // Of the ledger: what moves balances, and refuses by names of its own (ledger_store_pgtest); and what posts.
           "'ledger_post', 'ledger_transfers_begin', 'ledger_accounts_begin', 'ledger_accounts_open', "
           "'ledger_accounts_close', "
           "'payments_post_charges', 'payments_post_refunds', 'payment_attempts_post', 'partial_refunds_post', "
           "'order_assignments_post_ends') "
           "UNION SELECT c.relname FROM pg_index JOIN pg_class c ON c.oid = indexrelid "
           "WHERE indisunique AND c.relnamespace = 'public'::regnamespace AND NOT c.relispartition "
           "AND c.relname NOT IN ('ledger_account_history_pkey', 'ledger_expiries_pkey')")) {
    named.insert(row[0]);
  }
  EXPECT_EQ(attacked, named);
}

// PostgreSQL 15 runs a deferred trigger as the role that commits, whoever's function wrote the row
// (findings/postgres-15-runs-a-deferred-trigger-as-whoever-commits.sh).
TEST_F(ConstraintsTest, WhatRunsAtTheCommitRunsWithItsOwnersRights) {
  EXPECT_THAT(database_.sql().Rows("SELECT tgname FROM pg_trigger JOIN pg_proc p ON p.oid = tgfoid "
                                   "WHERE tgdeferrable AND NOT tgisinternal AND NOT p.prosecdef"),
              ::testing::IsEmpty());
}

TEST_F(ConstraintsTest, TheOrdinaryLifeOfAnOrderIsAllowed) {
  for (const char* sql :
       {"UPDATE order_sagas SET seq = 6, epoch = 4, lease_until = now() WHERE order_id = " ORDER(1),
        "UPDATE order_sagas SET state = 'succeeded', seq = 7, lease_until = NULL WHERE order_id = " ORDER(1),
        "UPDATE order_sagas SET state = 'compensating', failure_reason = 'CANCELLED', lease_until = now() WHERE "
        "order_id = " ORDER(1),
        "UPDATE order_sagas SET state = 'compensated', lease_until = NULL WHERE order_id = " ORDER(1),
        "UPDATE order_sagas SET state = 'closed' WHERE order_id = " ORDER(2),
        "UPDATE partial_refunds SET state = 'refused', refusal = 'x', decided_at = now() WHERE refund_id = 'r1'",
        INSERT_PART(ORDER(2), "'r3'", 9, "700", "'EUR'", "'open'", "''", "NULL"),
        "UPDATE payments SET refund_minor = 1000, refunded_at = now() WHERE order_id = " ORDER(2),
        "UPDATE payment_attempts SET state = 'refunded' WHERE idempotency_key = 'k3'",
        "UPDATE payment_attempts SET state = 'pending', pending_token = 'pi_1' WHERE idempotency_key = 'k1'",
        "UPDATE payment_attempts SET state = 'approved', pending_token = NULL, decided_at = now() "
        "WHERE idempotency_key = 'k1'",
        "UPDATE payment_attempts SET state = 'closed', decided_at = now() WHERE idempotency_key = 'k4'",
        "UPDATE payment_attempts SET state = 'approved', decided_at = now() WHERE idempotency_key = 'k5'",
        "UPDATE payment_attempts SET state = 'pending', pending_token = 'pi_2' WHERE idempotency_key = 'k6'",
        "UPDATE payment_attempts SET state = 'open', pending_token = NULL, authorized_at = now(), "
        "authorization_expires_at = now() WHERE idempotency_key = 'k6'",
        "UPDATE payment_attempts SET state = 'closed', decided_at = now() WHERE idempotency_key = 'k6'",
        "INSERT INTO order_assignments VALUES (" ORDER(3) ", 'van', 2, now())",
        "UPDATE order_assignments SET released_at = now() WHERE order_id = " ORDER(2),
        "INSERT INTO order_assignments VALUES (" ORDER(4) ", 'ada', 1, now())"}) {
    SqlResult result = database_.sql().Run(sql);
    EXPECT_TRUE(result.ok()) << sql << "\n" << result.message;
  }
}

// Whoever writes, an older version or a hand, recovery finds what has a lease: by due_at, or, while that is NULL,
// because the saga is young.
TEST_F(ConstraintsTest, WhatHasALeaseIsDueByItsEnd) {
  const auto due = [this](const std::string& set) {
    database_.sql().Exec("UPDATE order_sagas SET " + set + " WHERE order_id = " ORDER(1));
    return database_.sql().Value(
        "SELECT CASE WHEN due_at IS NULL THEN 'never' WHEN due_at = lease_until THEN 'at its end' "
        "WHEN due_at < lease_until THEN 'earlier' ELSE 'too late' END FROM order_sagas WHERE order_id = " ORDER(1));
  };
  EXPECT_EQ(due("lease_until = now() + interval '1 hour'"), "earlier") << "it was written without a due_at";
  EXPECT_EQ(due("due_at = now() + interval '2 hours'"), "at its end");
  EXPECT_EQ(due("lease_until = now() + interval '1 minute'"), "at its end") << "cut short";
  EXPECT_EQ(due("due_at = NULL"), "at its end") << "only the young have none";
  EXPECT_EQ(due("lease_until = NULL, waits_for = 'charge_payment/do/t', wakes_at = now()"), "never");
  EXPECT_EQ(due("lease_until = now() + interval '1 minute'"), "at its end") << "taken up";
  EXPECT_EQ(due("lease_until = now() + interval '2 minutes'"), "earlier") << "renewed";
  EXPECT_EQ(due("state = 'succeeded', seq = seq + 1, lease_until = NULL, waits_for = NULL, wakes_at = NULL"), "never");
  EXPECT_EQ(due("state = 'compensating', failure_reason = 'X', seq = seq + 1, lease_until = now()"), "at its end");
}

TEST_F(ConstraintsTest, AYoungSagaStaysYoungWhileItsLeaseGoesOn) {
  database_.sql().Exec(
      "INSERT INTO order_sagas (order_id, client, idempotency_key, fingerprint, user_id, amount_minor, currency, "
      "lease_until, due_at, created_at, updated_at) VALUES (" ORDER(
          8) ", 'shop', 'young', '', 'ada', 1, 'EUR', now(), NULL, now(), now())");
  const auto due = [this](const std::string& set) {
    database_.sql().Exec("UPDATE order_sagas SET " + set + " WHERE order_id = " ORDER(8));
    return database_.sql().Value("SELECT due_at FROM order_sagas WHERE order_id = " ORDER(8));
  };
  EXPECT_EQ(due("seq = 1"), "NULL");
  EXPECT_EQ(due("lease_until = now() + interval '1 minute'"), "NULL");
  EXPECT_NE(due("lease_until = now()"), "NULL") << "whoever cuts it short wants others to take it up";
}

// As a dump of the data alone is loaded.
TEST_F(ConstraintsTest, TriggersFindTheirTablesWithoutASearchPath) {
  database_.sql().Exec("SET search_path = ''");
  for (const char* sql :
       {"INSERT INTO public.order_assignments VALUES (" ORDER(3) ", 'van', 2, now())",
        "INSERT INTO public.order_assignments VALUES (" ORDER(4) ", 'van', 1, now())",
        "UPDATE public.drivers SET capacity = 1", "UPDATE public.order_assignments SET released_at = now()",
        "UPDATE public.drivers SET capacity = 0, capacity_on_duty = 1", "DELETE FROM public.order_assignments",
        "TRUNCATE public.order_assignments", "INSERT INTO public.drivers VALUES ('bus', 0, 40)",
        "TRUNCATE public.drivers",
        // What the payment has counted, as it comes out of a dump; its order was turned back since.
        "INSERT INTO public.payments VALUES (" ORDER(4) ", 9, 'EUR', 'ch_4', now(), 9, now(), 5, 2)",
        "INSERT INTO public.partial_refunds VALUES (" ORDER(4) ", 'a', " ORDER(9) ", NULL, 'k', 5, 'EUR', '', "
                                                                                  "'done', '', '', now(), now()), "
                                                                                  "(" ORDER(4) ", 'b', " ORDER(
                                                                                      6) ", NULL, 'k', "
                                                                                         "9, 'EUR', '', 'refused', "
                                                                                         "'', 'x', "
                                                                                         "now(), now())"}) {
    SqlResult result = database_.sql().Run(sql);
    EXPECT_TRUE(result.ok()) << sql << "\n" << result.message;
  }
}

// However the capacity goes down, and whoever does it.
class LoweredCapacityTest : public ConstraintsTest {
 protected:
  // Orders 1 to 5 hold van's slots 2, 4, 5, 6 and 8.
  LoweredCapacityTest() {
    sql().Exec("DELETE FROM order_assignments");
    sql().Exec("UPDATE drivers SET capacity = 8");
    for (const char* slot : {"2", "4", "5", "6", "8"}) Take(slot);
  }
  waybill::testing::Sql& sql() { return database_.sql(); }
  SqlResult TryToTake(const std::string& slot) {
    return sql().Run("INSERT INTO order_assignments SELECT gen_random_uuid(), 'van', $1::smallint, now()", {slot});
  }
  void Take(const std::string& slot) { EXPECT_TRUE(TryToTake(slot).ok()) << slot; }
  std::string Active() {
    return sql().Value(
        "SELECT string_agg(slot::text, ' ' ORDER BY slot) FROM order_assignments WHERE released_at IS NULL");
  }
  // Slots that an order can be added in, one after the other.
  int Room() {
    int added = 0;
    for (int slot = 1; slot <= 9; ++slot) added += TryToTake(std::to_string(slot)).ok();
    return added;
  }
  void GiveBack(const std::string& slot) {
    sql().Exec("UPDATE order_assignments SET released_at = now() WHERE released_at IS NULL AND slot = $1", {slot});
  }
};

TEST_F(LoweredCapacityTest, MovesTheActiveOrdersDown) {
  sql().Exec("UPDATE drivers SET capacity = 6");
  EXPECT_EQ(Active(), "1 2 3 4 5");
  EXPECT_EQ(Room(), 1);
}

TEST_F(LoweredCapacityTest, AddsNobodyWhileThereAreTooMany) {
  sql().Exec("UPDATE drivers SET capacity = 3");
  EXPECT_EQ(Active(), "1 2 3 4 5");
  for (const char* slot : {"2", "1"}) {
    EXPECT_EQ(Room(), 0);
    GiveBack(slot);
  }
  EXPECT_EQ(Active(), "1 2 3");
  EXPECT_EQ(Room(), 0);
  GiveBack("1");
  EXPECT_EQ(Room(), 1);
}

TEST_F(LoweredCapacityTest, CountsADriverWithoutARowAsOne) {
  for (const char* gone : {"DELETE FROM drivers", "TRUNCATE drivers", "UPDATE drivers SET driver_id = 'bike'"}) {
    sql().Exec(gone);
    EXPECT_EQ(Active(), "1 2 3 4 5") << gone;
    EXPECT_EQ(Room(), 0) << gone;
    sql().Exec("DELETE FROM drivers");
    sql().Exec("INSERT INTO drivers VALUES ('van', 8)");
  }
}

TEST_F(LoweredCapacityTest, AnOrderThatLeavesByOtherWaysMakesNoRoomEither) {
  sql().Exec("UPDATE drivers SET capacity = 3");
  sql().Exec("DELETE FROM order_assignments WHERE slot = 1");
  EXPECT_EQ(Active(), "1 2 3 4");
  sql().Exec("UPDATE order_assignments SET driver_id = 'ada', slot = 1 WHERE slot = 2");
  EXPECT_EQ(sql().Value("SELECT string_agg(slot::text, ' ' ORDER BY slot) FROM order_assignments "
                        "WHERE driver_id = 'van'"),
            "1 2 3");
  EXPECT_EQ(Room(), 0);
}

TEST_F(LoweredCapacityTest, AnOrderIsNotTakenBackWhereThereIsNoRoom) {
  GiveBack("8");
  sql().Exec("UPDATE drivers SET capacity = 4");
  SqlResult result = sql().Run("UPDATE order_assignments SET released_at = NULL WHERE released_at IS NOT NULL");
  EXPECT_EQ(result.constraint, "order_assignments_within_capacity");
}

// A claim and a lowering at once: whichever comes second sees the other one.
TEST_F(LoweredCapacityTest, WaitsForAClaimUnderWay) {
  for (const char* slot : {"1", "3"}) {
    SCOPED_TRACE(slot);
    waybill::testing::Sql claimer(database_.url());
    claimer.Exec("BEGIN");
    claimer.Exec("INSERT INTO order_assignments SELECT gen_random_uuid(), 'van', $1::smallint, now()", {slot});
    waybill::testing::Sql owner(database_.url());
    auto lowered = std::async(std::launch::async, [&] { return owner.Run("UPDATE drivers SET capacity = 2"); });
    ASSERT_TRUE(waybill::testing::Eventually(absl::Seconds(20), [&] {
      return sql().Value(
                 "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = "
                 "current_database()") == "1";
    }));
    claimer.Exec("COMMIT");
    EXPECT_TRUE(lowered.get().ok());
    EXPECT_EQ(Active(), "1 2 3 4 5 6");
    EXPECT_EQ(Room(), 0);
    GiveBack("6");
    sql().Exec("UPDATE drivers SET capacity = 8");
    for (const char* down : {"5", "4", "3", "2", "1"}) GiveBack(down);
    for (const char* again : {"2", "4", "5", "6", "8"}) Take(again);
  }
}

TEST_F(LoweredCapacityTest, IsWaitedForByAClaim) {
  waybill::testing::Sql owner(database_.url()), claimer(database_.url());
  owner.Exec("BEGIN");
  owner.Exec("UPDATE drivers SET capacity = 5");
  auto claim = std::async(std::launch::async, [&] {
    return claimer.Run("INSERT INTO order_assignments SELECT gen_random_uuid(), 'van', 7, now()");
  });
  ASSERT_TRUE(waybill::testing::Eventually(absl::Seconds(20), [&] {
    return sql().Value(
               "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = "
               "current_database()") == "1";
  }));
  owner.Exec("COMMIT");
  EXPECT_EQ(claim.get().constraint, "order_assignments_within_capacity");
}

// Off duty is a capacity of 0, and no order is given to it in whatever way: 'van' holds orders, 'ada' never had a row.
class OffDutyTest : public LoweredCapacityTest {
 protected:
  OffDutyTest() { sql().Exec("INSERT INTO drivers VALUES ('bob', 1)"); }
  void GoOff(const std::string& driver) {
    sql().Exec(
        "INSERT INTO drivers VALUES ($1, 0, 1) ON CONFLICT (driver_id) DO UPDATE SET capacity = 0, "
        "capacity_on_duty = drivers.capacity WHERE drivers.capacity > 0",
        {driver});
  }
  void GoOn(const std::string& driver) {
    sql().Exec("UPDATE drivers SET capacity = capacity_on_duty, capacity_on_duty = NULL WHERE driver_id = $1",
               {driver});
  }
  SqlResult TryToGive(waybill::testing::Sql& to, const std::string& driver, const std::string& slot = "1") {
    return to.Run("INSERT INTO order_assignments SELECT gen_random_uuid(), $1, $2::smallint, now()", {driver, slot});
  }
  // Whether it is given an order in any slot, which it then gives back.
  bool MayHold(const std::string& driver) {
    bool may = false;
    for (const char* slot : {"1", "2", "3"}) may = TryToGive(sql(), driver, slot).ok() || may;
    sql().Exec("UPDATE order_assignments SET released_at = now() WHERE driver_id = $1 AND NOT off_duty", {driver});
    return may;
  }
  std::string Holds(const std::string& driver) {
    return sql().Value(
        "SELECT string_agg(slot::text, ' ' ORDER BY slot) FROM order_assignments WHERE driver_id = $1 AND released_at "
        "IS NULL AND NOT off_duty",
        {driver});
  }
  bool AwaitLockWait() {
    return waybill::testing::Eventually(absl::Seconds(20), [&] {
      return sql().Value(
                 "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = "
                 "current_database()") == "1";
    });
  }
};

TEST_F(OffDutyTest, NobodyIsGivenAnOrderUntilOnDutyAgain) {
  sql().Exec("UPDATE order_assignments SET released_at = now()");
  for (const std::string driver : {"van", "bob", "ada"}) {
    GoOff(driver);
    GoOff(driver);
    EXPECT_FALSE(MayHold(driver)) << driver;
    GoOn(driver);
    EXPECT_TRUE(MayHold(driver)) << driver;
    GoOff(driver);
    EXPECT_FALSE(MayHold(driver)) << driver << ", for the second time";
  }
}

TEST_F(OffDutyTest, TheOrdersThatAreHeldStayAndTheLastOneLeavesNoRoom) {
  GoOff("van");
  EXPECT_EQ(Holds("van"), "1 2 3 4 5");
  for (int left = 5; left > 0; --left) {
    EXPECT_EQ(Room(), 0) << left;
    GiveBack("1");
  }
  EXPECT_EQ(Room(), 0);
  EXPECT_EQ(Holds("van"), "NULL");
  GoOn("van");
  EXPECT_EQ(Room(), 8);
}

TEST_F(OffDutyTest, OnDutyAgainThereIsRoomForWhatIsMissing) {
  GoOff("van");
  GoOn("van");
  EXPECT_EQ(Room(), 3);
}

TEST_F(OffDutyTest, NoOtherWayLeadsRoundIt) {
  GoOff("bob");
  for (const char* around : {"UPDATE order_assignments SET released_at = now() WHERE off_duty",
                             "DELETE FROM order_assignments WHERE off_duty", "TRUNCATE order_assignments",
                             "UPDATE drivers SET capacity_on_duty = 5 WHERE driver_id = 'bob'"}) {
    sql().Exec(around);
    EXPECT_FALSE(MayHold("bob")) << around;
  }
  GoOff("eve");
  sql().Exec("UPDATE drivers SET driver_id = 'mia' WHERE driver_id = 'eve'");
  EXPECT_TRUE(MayHold("eve"));
  EXPECT_FALSE(MayHold("mia"));
  sql().Exec("DELETE FROM drivers WHERE driver_id = 'mia'");
  EXPECT_TRUE(MayHold("mia")) << "nothing is said of him any more";
  sql().Exec("TRUNCATE drivers");
  EXPECT_TRUE(MayHold("bob"));
}

// A claim and a change of duty at once: whichever comes second sees the other one.
TEST_F(OffDutyTest, WaitsForAClaimUnderWay) {
  for (const std::string driver : {"bob", "ada"}) {
    SCOPED_TRACE(driver);
    waybill::testing::Sql claimer(database_.url()), owner(database_.url());
    claimer.Exec("BEGIN");
    ASSERT_TRUE(TryToGive(claimer, driver).ok());
    auto off = std::async(std::launch::async, [&] {
      return owner.Run(
          "INSERT INTO drivers VALUES ($1, 0, 1) ON CONFLICT (driver_id) DO "
          "UPDATE SET capacity = 0, capacity_on_duty = 1",
          {driver});
    });
    ASSERT_TRUE(AwaitLockWait());
    claimer.Exec("COMMIT");
    EXPECT_TRUE(off.get().ok());
    EXPECT_EQ(Holds(driver), "1") << "it was first";
    EXPECT_FALSE(MayHold(driver));
  }
}

TEST_F(OffDutyTest, IsWaitedForByAClaim) {
  for (const std::string driver : {"bob", "ada"}) {
    SCOPED_TRACE(driver);
    waybill::testing::Sql claimer(database_.url()), owner(database_.url());
    owner.Exec("BEGIN");
    owner.Exec(
        "INSERT INTO drivers VALUES ($1, 0, 1) ON CONFLICT (driver_id) DO UPDATE SET capacity = 0, "
        "capacity_on_duty = 1",
        {driver});
    auto claim = std::async(std::launch::async, [&] { return TryToGive(claimer, driver); });
    ASSERT_TRUE(AwaitLockWait());
    owner.Exec("COMMIT");
    EXPECT_EQ(claim.get().constraint, "order_assignments_slot_taken");
    EXPECT_EQ(Holds(driver), "NULL");
  }
}

// The last order is given back, and a claim wants its slot, while nobody knows yet that the driver may have none.
TEST_F(OffDutyTest, NoClaimSlipsInBehindTheLastOrder) {
  ASSERT_TRUE(TryToGive(sql(), "ada").ok());
  GoOff("ada");
  waybill::testing::Sql releaser(database_.url()), claimer(database_.url());
  releaser.Exec("BEGIN");
  releaser.Exec("UPDATE order_assignments SET released_at = now() WHERE driver_id = 'ada'");
  auto claim = std::async(std::launch::async, [&] { return TryToGive(claimer, "ada"); });
  ASSERT_TRUE(AwaitLockWait());
  releaser.Exec("COMMIT");
  EXPECT_EQ(claim.get().constraint, "order_assignments_slot_taken");
}

// The last order is given back while the driver goes on duty: that it was crowded then no longer counts.
TEST_F(OffDutyTest, OnDutyWhileTheLastOrderIsGivenBackHeIsFree) {
  for (const bool given_back_first : {true, false}) {
    SCOPED_TRACE(given_back_first);
    ASSERT_TRUE(TryToGive(sql(), "ada").ok());
    GoOff("ada");
    waybill::testing::Sql first(database_.url()), second(database_.url());
    const char* give_back = "UPDATE order_assignments SET released_at = now() WHERE driver_id = 'ada'";
    const char* on = "UPDATE drivers SET capacity = 1, capacity_on_duty = NULL WHERE driver_id = 'ada'";
    first.Exec("BEGIN");
    first.Exec(given_back_first ? give_back : on);
    auto other = std::async(std::launch::async, [&] { return second.Run(given_back_first ? on : give_back); });
    ASSERT_TRUE(AwaitLockWait());
    first.Exec("COMMIT");
    EXPECT_TRUE(other.get().ok());
    EXPECT_TRUE(MayHold("ada"));
  }
}

}  // namespace
}  // namespace waybill::storage
