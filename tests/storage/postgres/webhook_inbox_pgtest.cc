#include <atomic>
#include <future>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/executor.h"
#include "storage/postgres/webhook_inbox.h"
#include "storage/postgres/webhook_inbox_view.h"
#include "tests/storage/webhook_inbox_contract.h"
#include "tests/support/migrated_database.h"

namespace waybill::storage {
namespace {

using ::testing::ElementsAre;

class PostgresInboxHarness final : public WebhookInboxHarness {
 public:
  WebhookInbox& inbox() override { return inbox_; }
  void MakeDue() override {
    database_.sql().Exec("UPDATE webhook_inbox SET due_at = now() - interval '1 s' WHERE due_at IS NOT NULL");
  }
  void MakeOld() override {
    database_.sql().Exec("UPDATE webhook_inbox SET received_at = received_at - interval '31 days'");
  }
  std::string StateOf(const std::string& id) override {
    return database_.sql().Value("SELECT state FROM webhook_inbox WHERE event_id = $1", {id});
  }

 private:
  waybill::testing::MigratedDatabase database_;
  Pool pool_{database_.url(), WriteConnectionOptions(), PoolOptions()};
  PostgresWebhookInbox inbox_{database_.url(), pool_, WebhookInboxOptions(), ThreadLoops()};
};

INSTANTIATE_TEST_SUITE_P(Postgres, WebhookInboxContract,
                         ::testing::Values([] { return std::make_unique<PostgresInboxHarness>(); }));

class WebhookInboxTest : public ::testing::Test {
 protected:
  static WebhookEvent Event(const std::string& id) {
    return {"acme", id, "payment.succeeded", "", "pi_" + id, 1250, "EUR"};
  }
  // True: it was not there before.
  bool Keep(const std::string& id, InboxState state = InboxState::kNew, std::string body = "{}") {
    std::promise<absl::StatusOr<bool>> kept;
    WebhookArrival arrival{Event(id), std::move(body), state, "",
                           [&](absl::StatusOr<bool> fresh) { kept.set_value(fresh); }};
    EXPECT_TRUE(inbox_.Keep(arrival));
    const absl::StatusOr<bool> fresh = kept.get_future().get();
    EXPECT_TRUE(fresh.ok()) << fresh.status();
    return fresh.ok() && *fresh;
  }
  std::string StateOf(const std::string& id) {
    return database_.sql().Value("SELECT state FROM webhook_inbox WHERE event_id = $1", {id});
  }
  std::vector<std::string> Claimed() {
    std::vector<std::string> ids;
    const auto due = inbox_.ClaimDue(10);
    EXPECT_TRUE(due.ok()) << due.status();
    if (due.ok()) {
      for (const WebhookDue& one : *due) ids.push_back(one.event.id);
    }
    return ids;
  }

  waybill::testing::MigratedDatabase database_;
  Pool pool_{database_.url(), WriteConnectionOptions(), PoolOptions()};
  PostgresWebhookInbox inbox_{database_.url(), pool_, WebhookInboxOptions(), ThreadLoops()};
};

TEST_F(WebhookInboxTest, KeepsEachEventOnce) {
  EXPECT_TRUE(Keep("1"));
  EXPECT_FALSE(Keep("1", InboxState::kNew, "another body"));
  EXPECT_EQ(database_.sql().Value("SELECT convert_from(body, 'UTF8') FROM webhook_inbox"), "{}");
  EXPECT_TRUE(Keep("bytes", InboxState::kNew, std::string("\0\xff", 2)));
}

TEST_F(WebhookInboxTest, OfManyAtOnceKeepsEachOnce) {
  std::atomic<int> fresh{0}, answered{0};
  std::promise<void> all;
  for (int i = 0; i < 400; ++i) {
    WebhookArrival arrival{Event(std::to_string(i % 100)), "{}", InboxState::kNew, "", [&](absl::StatusOr<bool> was) {
                             if (was.ok() && *was) ++fresh;
                             if (++answered == 400) all.set_value();
                           }};
    ASSERT_TRUE(inbox_.Keep(arrival));
  }
  all.get_future().wait();
  EXPECT_EQ(fresh, 100);
  EXPECT_EQ(database_.sql().Value("SELECT count(*) FROM webhook_inbox"), "100");
}

TEST_F(WebhookInboxTest, WhatCouldNotBeLookedAtStaysWhatItWasUntilItsTime) {
  Keep("new");
  Keep("unmatched");
  ASSERT_TRUE(
      inbox_.Settle({{{"acme", "unmatched", InboxState::kUnmatched, "UNKNOWN_PAYMENT", std::nullopt, absl::Hours(1)}}})
          .ok());
  for (const std::string id : {"new", "unmatched"}) {
    ASSERT_TRUE(
        inbox_.Settle({{{"acme", id, InboxState::kNew, "STORE_REFUSED: no", std::nullopt, absl::Minutes(5)}}}).ok());
    EXPECT_EQ(StateOf(id), id);
    EXPECT_EQ(
        database_.sql().Value("SELECT concat_ws(' ', reason, due_at > now() + interval '4 minutes', settled_at IS "
                              "NULL) FROM webhook_inbox WHERE event_id = $1",
                              {id}),
        "STORE_REFUSED: no t t");
  }
  EXPECT_THAT(Claimed(), ElementsAre());
}

// Order 1 waits for acme's token t, order 2 for north's, which was at acme with another one before; order 3 is not
// routed.
TEST_F(WebhookInboxTest, ATokenIsOneGatewaysOwn) {
  const std::string id = "00000000-0000-7000-8000-00000000000";
  for (const std::string n : {"1", "2", "3"}) {
    database_.sql().Exec(
        "INSERT INTO order_sagas (order_id, client, idempotency_key, fingerprint, user_id, amount_minor, currency, "
        "lease_until, created_at, updated_at) VALUES ($1::text::uuid, 'shop', $1::text, '', 'u', 100, 'EUR', now(), "
        "now(), now())",
        {id + n});
    database_.sql().Exec("INSERT INTO pending_charges (order_id, token) VALUES ($1, 't')", {id + n});
  }
  database_.sql().Exec(
      "INSERT INTO payment_attempts (order_id, number, gateway, idempotency_key, amount_minor, currency, state, "
      "pending_token, begun_at, decided_at) SELECT ('" +
      id +
      "' || n)::uuid, number, gateway, 'k', 100, 'EUR', state, token, now(), CASE WHEN state = 'closed' THEN now() END "
      "FROM (VALUES (1, 1, 'acme', 'pending', 't'), (2, 1, 'acme', 'closed', NULL), (2, 2, 'north', 'pending', 't')) "
      "AS a (n, number, gateway, state, token)");
  const auto found = [&](const std::string& gateway, std::optional<Uuid> order) -> std::string {
    WebhookEvent event = Event("1");
    event.gateway = gateway;
    event.token = "t";
    const auto orders = inbox_.FindOrders({{event}}, {{order}});
    EXPECT_TRUE(orders.ok()) << orders.status();
    if (!orders.ok() || !orders->front()) return "";
    return orders->front()->order_id.ToString().substr(35) + " " + orders->front()->token +
           (orders->front()->attempt_decided ? "decided" : "");
  };
  EXPECT_EQ(found("acme", std::nullopt), "3 t") << "the younger, of acme's two";
  EXPECT_EQ(found("north", std::nullopt), "3 t");
  database_.sql().Exec("DELETE FROM pending_charges WHERE order_id = $1", {id + "3"});
  EXPECT_EQ(found("acme", std::nullopt), "1 t");
  EXPECT_EQ(found("north", std::nullopt), "2 t");
  EXPECT_EQ(found("acme", Uuid::Parse(id + "2")), "2 decided") << "it is no longer there";
  EXPECT_EQ(found("north", Uuid::Parse(id + "2")), "2 t");
  EXPECT_EQ(found("east", std::nullopt), "");
  // What a gateway says of a payment that it has decided is about that payment still.
  database_.sql().Exec("UPDATE payment_attempts SET state = 'approved', decided_at = now() WHERE state = 'pending'");
  EXPECT_EQ(found("acme", std::nullopt), "1 decided");
  EXPECT_EQ(found("north", std::nullopt), "2 decided");
  database_.sql().Exec("UPDATE payment_attempts SET pending_token = NULL");  // as they were written before
  EXPECT_EQ(found("acme", std::nullopt), "1 decided");
  EXPECT_EQ(found("north", std::nullopt), "") << "order 2 may have the token of either";
  database_.sql().Exec(
      "UPDATE payment_attempts SET state = 'refunded', pending_token = 't' WHERE number = 1 AND state = 'approved'");
  EXPECT_EQ(found("acme", std::nullopt), "1 decided");
  database_.sql().Exec(
      "INSERT INTO payment_attempts (order_id, number, gateway, idempotency_key, amount_minor, currency, state, "
      "pending_token, begun_at) VALUES ($1, 2, 'east', 'k', 100, 'EUR', 'pending', 'u', now())",
      {id + "1"});
  database_.sql().Exec("UPDATE pending_charges SET token = 'u' WHERE order_id = $1", {id + "1"});
  EXPECT_EQ(found("acme", std::nullopt), "1 decided") << "it went on, and acme says more of its attempt";
  EXPECT_EQ(found("east", Uuid::Parse(id + "1")), "1 u");
  EXPECT_EQ(found("east", std::nullopt), "") << "that is another's token";
  // A payment without an order is found as an order is.
  database_.sql().Exec(
      "INSERT INTO sagas (saga_id, kind, version, dedupe_key, payload, owner, lease_until, created_at, updated_at) "
      "VALUES ($1, 'take_payment', 1, 'p/shop', '{\"amount_minor\": 100, \"currency\": \"EUR\"}', 'a', now(), now(), "
      "now())",
      {id + "4"});
  database_.sql().Exec(
      "INSERT INTO payment_attempts (order_id, number, gateway, idempotency_key, amount_minor, "
      "currency, state, pending_token, begun_at) "
      "VALUES ($1, 1, 'west', 'k4', 100, 'EUR', 'pending', 't', now())",
      {id + "4"});
  EXPECT_EQ(found("west", std::nullopt), "4 t");
  EXPECT_EQ(found("west", Uuid::Parse(id + "4")), "4 t");
  EXPECT_EQ(found("north", Uuid::Parse(id + "4")), "4 ") << "another gateway's word of it";
}

class WebhookInboxViewTest : public WebhookInboxTest {
 protected:
  // The ids of the pages, one after the other.
  std::vector<std::string> Listed(InboxQuery query) {
    std::vector<std::string> ids;
    while (true) {
      const absl::StatusOr<std::vector<KeptWebhook>> page = view_.List(query);
      EXPECT_TRUE(page.ok()) << page.status();
      if (!page.ok() || page->empty()) return ids;
      for (const KeptWebhook& kept : *page) {
        EXPECT_EQ(kept.body, "");
        ids.push_back(kept.event.id);
      }
      query.after = {page->back().received_at, page->back().event.gateway, page->back().event.id};
    }
  }

  PostgresWebhookInboxView view_{pool_, pool_};
};

TEST_F(WebhookInboxViewTest, ListsTheNewestFirstByStateGatewayEventAndOrder) {
  for (const char* id : {"1", "2", "3", "4"}) Keep(id);
  const Uuid order = *Uuid::Parse("01939f6e-0000-7000-8000-000000000001");
  const WebhookSettlement settled[] = {{"acme", "2", InboxState::kAttention, "AMOUNT_MISMATCH", order, {}},
                                       {"acme", "3", InboxState::kSignalled, "", order, {}}};
  ASSERT_TRUE(inbox_.Settle(settled).ok());
  // Two came at the same moment, and still each stands on one page.
  database_.sql().Exec(
      "UPDATE webhook_inbox SET received_at = '2026-01-31Z'::timestamptz + (event_id::int / 2) * interval '1 s'");
  InboxQuery all;
  for (const int limit : {1, 2, 50}) {
    all.limit = limit;
    EXPECT_THAT(Listed(all), ElementsAre("4", "3", "2", "1")) << limit;
  }
  InboxQuery query;
  query.state = InboxState::kAttention;
  EXPECT_THAT(Listed(query), ElementsAre("2"));
  query = {};
  query.order_id = order;
  EXPECT_THAT(Listed(query), ElementsAre("3", "2"));
  query = {};
  query.gateway = "acme";
  query.event_id = "3";
  EXPECT_THAT(Listed(query), ElementsAre("3"));
  query.gateway = "other";
  EXPECT_THAT(Listed(query), ElementsAre());
}

TEST_F(WebhookInboxViewTest, ShowsABodyToWhomTheAuditNames) {
  const std::string body("\0\xff{}", 4);
  Keep("1", InboxState::kAttention, body);
  const domain::Deed deed = {{"ops", "", ""}, "event.read", "event", "acme/1"};
  const absl::StatusOr<KeptWebhook> kept = view_.Show("acme", "1", deed);
  ASSERT_TRUE(kept.ok()) << kept.status();
  EXPECT_EQ(kept->body, body);
  EXPECT_EQ(kept->body_bytes, 4);
  EXPECT_EQ(kept->state, InboxState::kAttention);
  EXPECT_EQ(kept->event.amount_minor, 1250);
  EXPECT_EQ(kept->event.token, "pi_1");
  EXPECT_FALSE(kept->due_at.has_value());
  EXPECT_TRUE(kept->settled_at.has_value());
  // What is not there is not read, and nobody has done it.
  EXPECT_EQ(view_.Show("acme", "2", deed).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(database_.sql().Value("SELECT string_agg(concat_ws(' ', client, action, subject_kind, subject), ',') FROM "
                                  "audit_entries WHERE action = 'event.read'"),
            "ops event.read event acme/1");
}

}  // namespace
}  // namespace waybill::storage
