// Every reason an error of Waybill can carry, in one table: docs/errors.md is written from it.
#pragma once

#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/status.h"

namespace waybill::domain {

struct Reason {
  std::string_view name;
  absl::StatusCode code;
  std::string_view meaning;
  std::string_view what_to_do;
};

inline constexpr Reason kReasons[] = {
    {"BAD_REQUEST", absl::StatusCode::kInvalidArgument,
     "One or more fields are wrong; each is named with what is wrong.",
     "Correct the named fields. Nothing was written."},
    {"MALFORMED_REQUEST", absl::StatusCode::kInvalidArgument,
     "The bytes are no request of this method, or a text in it is not UTF-8 (then the field is named).",
     "Build the request from the published proto. Nothing was written."},
    {"NO_IDENTITY", absl::StatusCode::kUnauthenticated,
     "The call does not say who makes it: it has neither a key nor a client's certificate, or its header is none.",
     "Send the metadata `authorization: Bearer wb_...` once."},
    {"KEY_UNKNOWN", absl::StatusCode::kUnauthenticated, "There is no such key, or the secret is another one.",
     "Check the key; one that was just made counts everywhere within a second."},
    {"KEY_EXPIRED", absl::StatusCode::kUnauthenticated, "The key's time is over.",
     "Use the key that it was rotated to, or ask an administrator for one."},
    {"KEY_REVOKED", absl::StatusCode::kUnauthenticated, "An administrator has ended the key.",
     "Ask an administrator for another."},
    {"SCOPE_MISSING", absl::StatusCode::kPermissionDenied, "The key lacks the scope that metadata `scope` names.",
     "Ask an administrator for a key that has it. Nothing was done."},
    {"CLIENT_MISMATCH", absl::StatusCode::kPermissionDenied,
     "The metadata `waybill-client` names another client than the key's; idempotency keys would be another's. Or the "
     "key "
     "is not of the client whose wallets pay.",
     "Leave `waybill-client` out, or use that client's key. Nothing was done."},
    {"CLIENT_RESERVED", absl::StatusCode::kPermissionDenied,
     "The client's name begins with a parenthesis: it is one of Waybill's own, whose accounts nobody else writes.",
     "Use a client's name of your own; reading is allowed. Nothing was done."},
    {"TOKEN_INVALID", absl::StatusCode::kUnauthenticated,
     "The token of an app is none of ours: how it is written, by which key it is signed, or what it says; the message.",
     "Have the tenant's backend issue another."},
    {"TOKEN_EXPIRED", absl::StatusCode::kUnauthenticated, "The token's time is over.",
     "Get a fresh one and connect again; what was missed meanwhile comes then."},
    {"TOPIC_NOT_ALLOWED", absl::StatusCode::kPermissionDenied, "The token does not list what is to be followed.",
     "Have the tenant's backend issue a token whose topics include it."},
    {"KEY_NOT_FOUND", absl::StatusCode::kNotFound, "There is no such key, or it is over and cannot be rotated.",
     "Check the id."},
    {"CERTIFICATE_IN_USE", absl::StatusCode::kAlreadyExists,
     "The certificate's name belongs to a key that is not revoked; metadata `certificate` names it.",
     "Revoke that key first, or use another name."},
    {"ORDER_NOT_FOUND", absl::StatusCode::kNotFound,
     "There is no such order, or it is another client's; of what the rules of risk assessed, no such order, payment or "
     "payout.",
     "Check the id."},
    {"SAGA_NOT_FOUND", absl::StatusCode::kNotFound, "There is no such saga.", "Check the id."},
    {"DRIVER_NOT_FOUND", absl::StatusCode::kNotFound, "The driver has no position, neither fresh nor in history.",
     "Check the id; history is kept for the retention only."},
    {"GATEWAY_NOT_FOUND", absl::StatusCode::kNotFound,
     "The gateways file of the service names no such payment gateway, or it has no such file; where sums and "
     "settlements "
     "are asked for, nothing was ever charged there either.",
     "Check the name: `waybill gateway list`."},
    {"IDEMPOTENCY_KEY_REUSED", absl::StatusCode::kFailedPrecondition,
     "The key belongs to an order made from a different request; metadata `fields` names what differs.",
     "Use a new key for a new order, or repeat the first request unchanged."},
    {"REVIEW_NOT_OPEN", absl::StatusCode::kFailedPrecondition,
     "It does not wait for a person to decide, somebody has decided, or its time is over; metadata `status`.",
     "Look at it, `waybill risk show`; there may be nothing left to do."},
    {"ORDER_STILL_RUNNING", absl::StatusCode::kDeadlineExceeded,
     "The wait ended before the order did; metadata `order_id` names it. Work goes on.",
     "Repeat the call with the same key, or watch the order."},
    {"ORDER_NOT_CANCELLABLE", absl::StatusCode::kFailedPrecondition, "The order is completed or resolved.",
     "It stands as it is."},
    {"ORDER_NOT_CONFIRMED", absl::StatusCode::kFailedPrecondition, "Only a confirmed order can be completed.",
     "Wait for the order to be confirmed; see metadata `status`."},
    {"ORDER_NOT_REFUNDABLE", absl::StatusCode::kFailedPrecondition,
     "A part of the money can go back while an order is confirmed or completed, and charged; metadata `status`.",
     "Cancel the order, or wait until it is confirmed. Nothing was done."},
    {"REFUND_BEYOND_CHARGE", absl::StatusCode::kFailedPrecondition,
     "With the refunds before it, open ones included, it would be more than was charged; metadata `left_minor` says "
     "what "
     "is left.",
     "Ask for less; what a refund that is refused had taken up is free again. Nothing was done."},
    {"REFUND_ID_REUSED", absl::StatusCode::kFailedPrecondition,
     "The order has a refund of that id with another amount or reason; metadata `fields` names what differs.",
     "Use a new id for another refund, or repeat the first request unchanged."},
    {"PAYMENT_NOT_FOUND", absl::StatusCode::kNotFound, "The client has no payment of that id.", "Check the id."},
    {"PAYMENT_ID_REUSED", absl::StatusCode::kFailedPrecondition,
     "The client has a payment of that id with another amount; metadata `fields` names what differs.",
     "Use a new id for another payment, or repeat the first request unchanged."},
    {"NO_PAYMENT_GATEWAY", absl::StatusCode::kFailedPrecondition,
     "No gateway of the service's --gateways-file takes the payment: by currency, amount or rule, or all are drained.",
     "Ask for another amount or currency, or have a gateway undrained: `waybill gateway list`. Nothing was done."},
    {"PAYOUT_NOT_FOUND", absl::StatusCode::kNotFound, "The client has no payout of that id.", "Check the id."},
    {"PAYOUT_ID_REUSED", absl::StatusCode::kFailedPrecondition,
     "The client has a payout of that id that is another one; metadata `fields` names what differs.",
     "Use a new id for another payout, or repeat the first request unchanged."},
    {"PAYOUT_ACCOUNT_UNUSABLE", absl::StatusCode::kFailedPrecondition,
     "The client has no open account of that id and currency in the ledger.",
     "Open the account, or name another; the same payout_id can be used. Nothing was done."},
    {"NO_PAYOUT_GATEWAY", absl::StatusCode::kFailedPrecondition, "The service was started without --payout-gateway.",
     "Start it with --payout-gateway. Nothing was done."},
    {"LEDGER_ACCOUNT_NOT_FOUND", absl::StatusCode::kNotFound, "The client has no account of that id in the ledger.",
     "Check the id."},
    {"TRANSFER_NOT_FOUND", absl::StatusCode::kNotFound,
     "The client has no transfer of that id in the ledger; one that was refused is none.", "Check the id."},
    {"ACCOUNT_ID_REUSED", absl::StatusCode::kFailedPrecondition,
     "The client has an account of that id in the ledger, and it is another one; metadata `result` and `field` say in "
     "what.",
     "Use a new id for another account, or repeat the first request unchanged. Nothing was done."},
    {"ACCOUNT_REFUSED", absl::StatusCode::kFailedPrecondition,
     "The ledger does not open the account; metadata `result` is why, by the names of docs/ledger.md.",
     "See the result. Nothing was done."},
    {"TRANSFER_ID_REUSED", absl::StatusCode::kFailedPrecondition,
     "The client has a transfer of that id in the ledger, and it is another one; metadata `result` and `field` say in "
     "what.",
     "Use a new id for another transfer, or repeat the first request unchanged. Nothing was done."},
    {"TRANSFER_REFUSED", absl::StatusCode::kFailedPrecondition,
     "The ledger refused the transfer, by what its accounts held; metadata `result` is why, by the names of "
     "docs/ledger.md.",
     "The id stays refused: when things have changed, ask again with a new one. No money moved."},
    {"HISTORY_NOT_KEPT", absl::StatusCode::kFailedPrecondition,
     "The account was opened without the flag `history`, so what it held before is not kept.",
     "Read its statement; have history kept when an account is opened."},
    {"REFUNDS_FULL", absl::StatusCode::kFailedPrecondition,
     "The order has had as many partial refunds as it may have, refused ones included.",
     "Cancel the order, if it can still be turned back."},
    {"ENDPOINT_NOT_FOUND", absl::StatusCode::kNotFound,
     "There is no such endpoint of webhooks, or it is another client's.", "Check the id."},
    {"ENDPOINTS_FULL", absl::StatusCode::kFailedPrecondition,
     "The client has as many endpoints of webhooks as it may have.", "Delete one, or have one take more types."},
    {"ENDPOINT_DISABLED", absl::StatusCode::kFailedPrecondition,
     "The endpoint is disabled, so nothing is sent to it; metadata `why`.", "Enable it first."},
    {"DELIVERY_NOT_FOUND", absl::StatusCode::kNotFound,
     "There is no such delivery to that endpoint, or it is another client's.",
     "Check both ids; deliveries are kept for the retention only."},
    {"DELIVERY_OVER", absl::StatusCode::kFailedPrecondition,
     "What is delivered, or was discarded before, cannot be discarded.", "There is nothing left to do."},
    {"DEAD_LETTER_NOT_FOUND", absl::StatusCode::kNotFound,
     "There is no such dead letter: it lives again, or has ended.",
     "Look at its source: its saga, delivery, event or case."},
    {"EVENT_NOT_FOUND", absl::StatusCode::kNotFound, "There is no such event of that gateway.",
     "Check both names; settled events are kept for the retention only."},
    {"SAGA_LEASED", absl::StatusCode::kFailedPrecondition, "Another process holds the saga's lease.", "Retry later."},
    {"SAGA_NOT_DRIVEN_HERE", absl::StatusCode::kFailedPrecondition,
     "The saga is of a kind, or of a version of it, that this process does not drive; metadata `kind` and `version` "
     "name "
     "it.",
     "Ask a process that drives it."},
    {"SAGA_NOT_STUCK", absl::StatusCode::kFailedPrecondition,
     "Only a saga that is compensating or closing, and needs attention, can be resolved by hand.",
     "Retry it, or wait."},
    {"SAGA_FINISHED", absl::StatusCode::kFailedPrecondition, "The saga has ended; there is nothing to retry.",
     "There is nothing left to do."},
    {"SAGA_STATE_FORBIDS", absl::StatusCode::kFailedPrecondition,
     "The saga's state does not allow what was asked; metadata `state` names it.", "Look at the saga, and ask again."},
    {"SAGA_TAKEN_OVER", absl::StatusCode::kAborted, "Another process took the saga over while this call waited.",
     "Repeat the call with the same key."},
    {"SETTLEMENT_NOT_FOUND", absl::StatusCode::kNotFound, "There is no such settlement.", "Check the id."},
    {"SETTLEMENT_NOT_LOADING", absl::StatusCode::kFailedPrecondition,
     "The settlement is reconciled already, or another of its name has taken its place.",
     "Begin another one: of the same name it takes this one's place."},
    {"SETTLEMENT_REPEATED", absl::StatusCode::kFailedPrecondition,
     "Most of its lines stand in another settlement of the gateway for the same time as well; metadata "
     "`settlement_id` and `name` are that one's. Nothing was compared.",
     "A newer print takes the place of the one before when it has its name: `waybill reconcile run --name`. A file of "
     "other payments has other lines."},
    {"SETTLEMENT_INCOMPLETE", absl::StatusCode::kFailedPrecondition,
     "Not all lines of the settlement have come; the message says how many have.",
     "Add those that are missing. Nothing was compared."},
    {"CASE_NOT_FOUND", absl::StatusCode::kNotFound, "There is no such case.", "Check the id."},
    {"CASE_CLOSED", absl::StatusCode::kFailedPrecondition, "The case is closed, for another reason.",
     "Nothing; the message has the reason."},
    {"SUM_TOO_LARGE", absl::StatusCode::kOutOfRange, "A sum is more than 2^63 - 1 minor units.",
     "Ask for a shorter time, or for one gateway."},
    {"LIST_TOO_BROAD", absl::StatusCode::kFailedPrecondition,
     "The list looks through more orders than can be read in time.",
     "Narrow it: by user, by the time of creation, or by a status that fewer orders have."},
    {"QUEUE_FULL", absl::StatusCode::kResourceExhausted,
     "A queue, the number of unfinished sagas, of open streams, or of signals that are kept for one saga, is at its "
     "limit.",
     "Retry after the delay in RetryInfo, with the same key."},
    {"RATE_LIMITED", absl::StatusCode::kResourceExhausted,
     "The client calls more often than a limit allows; metadata `rule` names the limit, QuotaFailure says what it is.",
     "Retry after the delay in RetryInfo, with the same key; call less often, or ask for a higher limit. Nothing was "
     "done."},
    {"STORE_UNAVAILABLE", absl::StatusCode::kUnavailable,
     "Postgres or Redis does not answer, or takes no writes; the message says which and why. Or the keys of callers "
     "could not be read for a minute. Or a limit cannot be checked, and lets nobody pass then; metadata `rule`.",
     "Retry with backoff, and the same key or ids: it may have been done, and is not done twice."},
    {"STORE_REFUSED", absl::StatusCode::kInternal,
     "The database refused the data; metadata names SQLSTATE and constraint.",
     "Report it: this is a bug, a damaged row, or a trigger of somebody else's."},
    {"UNREADABLE_ROW", absl::StatusCode::kInternal,
     "The order's row holds what this version does not know: a newer one wrote it, or a hand; metadata `column`.",
     "Ask a replica of the newer version, or mend the row. Nothing was changed."},
    {"SCHEMA_MISMATCH", absl::StatusCode::kInternal,
     "The database lacks a table, column or type that this version uses; metadata names the SQLSTATE.",
     "Run `waybill migrate` with this version; if the schema is current, report a bug."},
    {"RIGHTS_MISSING", absl::StatusCode::kInternal,
     "The service's database role may not do what was needed; the message names the table.",
     "`waybill migrate --grant ROLE`, as the tables' owner."},
    {"CLOCK_SKEW", absl::StatusCode::kUnavailable,
     "Nearly all drivers report points of the future: the server's clock is in doubt, so they were neither stored nor "
     "refused.",
     "Keep the points and send them again; the server's clock has to be set."},
    {"BROKER_UNAVAILABLE", absl::StatusCode::kUnavailable,
     "RabbitMQ does not answer, has ended the connection, or takes no messages (an alarm); the message says which and "
     "why.",
     "Retry with backoff; look at the broker if it lasts."},
    {"BROKER_REFUSED", absl::StatusCode::kFailedPrecondition,
     "RabbitMQ refuses the credentials, the virtual host or the declaration of a queue; the message says what.",
     "Correct the URL or the user's rights; a queue that somebody declared otherwise has to be deleted, once it is "
     "empty."},
    {"BROKER_QUEUE_NOT_FOUND", absl::StatusCode::kNotFound, "RabbitMQ has no such queue.",
     "Check the name; the service that consumes it declares it when it starts."},
    {"MESSAGE_REFUSED", absl::StatusCode::kResourceExhausted,
     "RabbitMQ refuses the message (basic.nack): its queue is full, most likely.",
     "Retry later, under the same id: another queue may have it."},
    {"MESSAGE_UNROUTABLE", absl::StatusCode::kNotFound, "No queue takes the message; it is dropped.",
     "Check the queue's name, or declare it."},
    {"MESSAGE_UNCONFIRMED", absl::StatusCode::kDeadlineExceeded,
     "RabbitMQ has not confirmed the message in time: it may have it or not.", "Send it again under the same id."},
    {"SHUTTING_DOWN", absl::StatusCode::kUnavailable, "This process is draining.",
     "Retry at another replica, with the same key."},
};

// The row of that name; the name must be in the table. In a constant expression another does not compile.
constexpr const Reason& FindReason(std::string_view name) {
  for (const Reason& reason : kReasons) {
    if (reason.name == name) return reason;
  }
  std::abort();  // a reason outside the table is a bug that the first test meets
}

// A status with the code of that reason. `detail.reason` is filled in.
absl::Status ReasonError(std::string_view reason, std::string_view message, ErrorDetail detail = {});

// QUEUE_FULL, to be tried again after so long.
absl::Status QueueFull(std::string_view message, absl::Duration retry_after);
// The same of a call for which no worker is left to wait for the store.
absl::Status TooBusy();

// BAD_REQUEST for a single field.
absl::Status BadField(std::string field, std::string what);

// Gathers what is wrong with a request.
class Violations {
 public:
  void Add(std::string field, std::string what) { found_.emplace_back(std::move(field), std::move(what)); }
  bool empty() const { return found_.empty(); }
  // OK, or BAD_REQUEST with every violation.
  absl::Status ToStatus() &&;

 private:
  std::vector<std::pair<std::string, std::string>> found_;
};

}  // namespace waybill::domain
