#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "domain/reasons.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/postgres/audit_log.h"
#include "storage/postgres/webhook_store.h"
#include "tests/support/migrated_database.h"

namespace waybill::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;
using State = WebhookDelivery::State;

class WebhookStorePgTest : public ::testing::Test {
 protected:
  Uuid AddEndpoint(const std::string& client, const std::string& secret = "whsec_AAAA") {
    WebhookEndpoint endpoint;
    endpoint.id.bytes[15] = static_cast<uint8_t>(++made_);
    endpoint.client = client;
    endpoint.url = "https://shop.example/";
    endpoint.types = {"order.*", "payment.charged"};
    endpoint.created_at = absl::FromUnixSeconds(1'770'000'000);
    EXPECT_TRUE(store_.AddEndpoint(endpoint, secret, Did("create")).ok());
    return endpoint.id;
  }
  static domain::Deed Did(const std::string& what) { return {{"me"}, "webhook." + what, "webhook", "x"}; }
  // As the journal does, due since so many seconds.
  void AddDelivery(const Uuid& endpoint, const std::string& event, int due_since = 0) {
    sql().Exec(
        fmt::format("INSERT INTO webhook_deliveries (endpoint_id, event_id, type, body, created_at, next_at) "
                    "VALUES ('{}', '{}', 'order.confirmed', '{{}}', now(), now() - {} * interval '1 second')",
                    endpoint.ToString(), event, due_since));
  }
  std::vector<ClaimedDelivery> Claim(int each = 4, int limit = 100, const std::vector<WebhookStore::Busy>& busy = {},
                                     absl::Duration lease = absl::Seconds(60)) {
    absl::StatusOr<std::vector<ClaimedDelivery>> claimed = store_.Claim(busy, each, limit, lease);
    EXPECT_TRUE(claimed.ok()) << claimed.status();
    return claimed.ok() ? *claimed : std::vector<ClaimedDelivery>();
  }
  static std::vector<std::string> EventsIn(const std::vector<ClaimedDelivery>& claimed) {
    std::vector<std::string> events;
    for (const ClaimedDelivery& delivery : claimed) events.push_back(delivery.event_id);
    std::sort(events.begin(), events.end());
    return events;
  }
  static DeliveryResult ResultOf(const ClaimedDelivery& delivery, State state, std::optional<int> code = 200) {
    DeliveryResult result;
    result.url = delivery.url;
    result.endpoint_id = delivery.endpoint_id;
    result.event_id = delivery.event_id;
    result.epoch = delivery.epoch;
    result.state = state;
    result.code = code;
    if (state == State::kDead) result.reason = "no more";
    if (state == State::kWaiting) result.pause = absl::Hours(1);
    return result;
  }
  std::vector<DisabledEndpoint> Finish(const std::vector<DeliveryResult>& results) {
    absl::StatusOr<std::vector<DisabledEndpoint>> disabled = store_.Finish(results, absl::Hours(120));
    EXPECT_TRUE(disabled.ok()) << disabled.status();
    return disabled.ok() ? *disabled : std::vector<DisabledEndpoint>();
  }
  State StateOf(const Uuid& endpoint, const std::string& event) {
    absl::StatusOr<WebhookDelivery> delivery = store_.GetDelivery(std::nullopt, endpoint, event);
    EXPECT_TRUE(delivery.ok()) << delivery.status();
    return delivery.ok() ? delivery->state : State::kDiscarded;
  }
  static std::string ReasonOf(const absl::Status& status) { return GetErrorDetail(status).reason; }
  waybill::testing::Sql& sql() { return database_.sql(); }

  int made_ = 0;
  waybill::testing::MigratedDatabase database_;
  Pool pool_{database_.url(), WriteConnectionOptions(), PoolOptions()};
  PostgresWebhookStore store_{pool_, pool_};
};

TEST_F(WebhookStorePgTest, KeepsEndpointsForTheirClientAlone) {
  EXPECT_FALSE(*store_.AnyEndpoint());
  const Uuid shop = AddEndpoint("shop"), other = AddEndpoint("other");
  EXPECT_TRUE(*store_.AnyEndpoint());
  ASSERT_THAT(*store_.ListEndpoints("shop", Uuid(), 10), SizeIs(1));
  EXPECT_THAT(*store_.ListEndpoints(std::nullopt, Uuid(), 10), SizeIs(2));
  EXPECT_THAT(*store_.ListEndpoints(std::nullopt, shop, 10), SizeIs(1));
  absl::StatusOr<WebhookEndpoint> read = store_.GetEndpoint("shop", shop);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->url, "https://shop.example/");
  EXPECT_THAT(read->types, ElementsAre("order.*", "payment.charged"));
  EXPECT_TRUE(read->enabled);
  AddDelivery(other, "evt_1");
  EXPECT_EQ(ReasonOf(store_.GetEndpoint("shop", other).status()), "ENDPOINT_NOT_FOUND");
  EXPECT_EQ(ReasonOf(store_.ChangeEndpoint("shop", other, {}, Did("update")).status()), "ENDPOINT_NOT_FOUND");
  EXPECT_EQ(ReasonOf(store_.DeleteEndpoint("shop", other, Did("delete"))), "ENDPOINT_NOT_FOUND");
  EXPECT_EQ(ReasonOf(store_.RotateSecret("shop", other, "s", absl::Hours(1), Did("rotate")).status()),
            "ENDPOINT_NOT_FOUND");
  EXPECT_EQ(ReasonOf(store_.AddTest("shop", other, "evt_t", "webhook.test", "{}").status()), "ENDPOINT_NOT_FOUND");
  EXPECT_EQ(ReasonOf(store_.ReplayDead("shop", other, absl::Seconds(1)).status()), "ENDPOINT_NOT_FOUND");
  EXPECT_EQ(ReasonOf(store_.GetDelivery("shop", other, "evt_1").status()), "DELIVERY_NOT_FOUND");
  EXPECT_EQ(ReasonOf(store_.Replay("shop", other, "evt_1").status()), "ENDPOINT_NOT_FOUND");
  EXPECT_EQ(ReasonOf(store_.Discard("shop", other, "evt_1", "why").status()), "DELIVERY_NOT_FOUND");
  DeliveryQuery query;
  query.owner = "shop";
  EXPECT_THAT(*store_.ListDeliveries(query), IsEmpty());
  // Nothing that was refused is in the audit.
  EXPECT_EQ(sql().Value("SELECT string_agg(action, ' ' ORDER BY sequence) FROM audit_entries"),
            "webhook.create webhook.create");
}

TEST_F(WebhookStorePgTest, BoundsTheEndpointsOfAClient) {
  for (int i = 0; i < kEndpointsMax; ++i) AddEndpoint("shop");
  WebhookEndpoint more;
  more.id.bytes[0] = 1;
  more.client = "shop";
  more.types = {"*"};
  EXPECT_EQ(ReasonOf(store_.AddEndpoint(more, "s", Did("create"))), "ENDPOINTS_FULL");
  more.client = "other";
  EXPECT_TRUE(store_.AddEndpoint(more, "s", Did("create")).ok());
}

TEST_F(WebhookStorePgTest, ClaimsEachDueDeliveryOnceUntilItsLeaseEnds) {
  const Uuid endpoint = AddEndpoint("shop");
  AddDelivery(endpoint, "evt_1");
  AddDelivery(endpoint, "evt_later", -3600);
  std::vector<ClaimedDelivery> claimed = Claim(4, 100, {}, absl::Microseconds(1));
  ASSERT_THAT(EventsIn(claimed), ElementsAre("evt_1"));
  EXPECT_EQ(claimed[0].url, "https://shop.example/");
  EXPECT_THAT(claimed[0].secrets, ElementsAre("whsec_AAAA"));
  const std::vector<ClaimedDelivery> again = Claim();  // that lease is over
  ASSERT_THAT(EventsIn(again), ElementsAre("evt_1"));
  EXPECT_THAT(Claim(), IsEmpty());
  // What the first one found out comes too late.
  Finish({ResultOf(claimed[0], State::kDelivered)});
  EXPECT_EQ(StateOf(endpoint, "evt_1"), State::kWaiting);
  Finish({ResultOf(again[0], State::kDelivered)});
  EXPECT_EQ(StateOf(endpoint, "evt_1"), State::kDelivered);
}

TEST_F(WebhookStorePgTest, ClaimsOfEachEndpointWhatThereIsRoomFor) {
  const Uuid busy = AddEndpoint("shop"), full = AddEndpoint("shop"), idle = AddEndpoint("other");
  for (int i = 0; i < 9; ++i) {
    AddDelivery(busy, fmt::format("evt_b{}", i), 100);
    AddDelivery(full, fmt::format("evt_f{}", i), 100);
  }
  AddDelivery(idle, "evt_i");
  EXPECT_THAT(EventsIn(Claim(4, 100, {{busy, 2}, {full, 4}})),
              ElementsAre(::testing::StartsWith("evt_b"), ::testing::StartsWith("evt_b"), "evt_i"));
  EXPECT_THAT(Claim(4, 3), SizeIs(3));
}

// A commit that was begun earlier and lands later: what others have read meanwhile is no place that it falls behind.
TEST_F(WebhookStorePgTest, LosesNothingThatCommitsLate) {
  const Uuid endpoint = AddEndpoint("shop");
  waybill::testing::Sql late(database_.url());
  late.Exec("BEGIN");
  late.Exec(
      fmt::format("INSERT INTO webhook_deliveries (endpoint_id, event_id, type, body, created_at, next_at) "
                  "VALUES ('{}', 'evt_1', 'order.confirmed', '{{}}', now(), now())",
                  endpoint.ToString()));
  AddDelivery(endpoint, "evt_2");
  std::vector<ClaimedDelivery> claimed = Claim();
  ASSERT_THAT(EventsIn(claimed), ElementsAre("evt_2"));
  Finish({ResultOf(claimed[0], State::kDelivered)});
  EXPECT_THAT(Claim(), IsEmpty());
  late.Exec("COMMIT");
  EXPECT_THAT(EventsIn(Claim()), ElementsAre("evt_1"));
}

TEST_F(WebhookStorePgTest, PassesOverWhatAnotherProcessIsClaiming) {
  const Uuid endpoint = AddEndpoint("shop");
  AddDelivery(endpoint, "evt_1");
  AddDelivery(endpoint, "evt_2");
  waybill::testing::Sql other(database_.url());
  other.Exec("BEGIN");
  other.Exec("SELECT 1 FROM webhook_deliveries WHERE event_id = 'evt_1' FOR UPDATE");
  EXPECT_THAT(EventsIn(Claim()), ElementsAre("evt_2"));
  other.Exec("ROLLBACK");
}

TEST_F(WebhookStorePgTest, WritesWhatBecameOfAnAttempt) {
  const Uuid endpoint = AddEndpoint("shop");
  for (const char* event : {"evt_1", "evt_2", "evt_3"}) AddDelivery(endpoint, event);
  std::vector<ClaimedDelivery> claimed = Claim();
  std::sort(claimed.begin(), claimed.end(), [](const auto& a, const auto& b) { return a.event_id < b.event_id; });
  ASSERT_THAT(claimed, SizeIs(3));
  DeliveryResult failed = ResultOf(claimed[1], State::kWaiting, std::nullopt);
  failed.answer = "connection refused";
  EXPECT_THAT(Finish({ResultOf(claimed[2], State::kDead, 500), failed, ResultOf(claimed[0], State::kDelivered)}),
              IsEmpty());
  WebhookDelivery waiting = *store_.GetDelivery("shop", endpoint, "evt_2");
  EXPECT_EQ(waiting.state, State::kWaiting);
  EXPECT_EQ(waiting.attempts, 1);
  EXPECT_EQ(waiting.last_code, std::nullopt);
  EXPECT_EQ(waiting.last_answer, "connection refused");
  EXPECT_GT(waiting.next_at - *waiting.last_at, absl::Minutes(59));
  EXPECT_EQ(store_.GetDelivery("shop", endpoint, "evt_3")->reason, "no more");
  EXPECT_EQ(store_.GetDelivery("shop", endpoint, "evt_3")->last_code, 500);
  absl::StatusOr<WebhookStats> stats = store_.Count();
  ASSERT_TRUE(stats.ok()) << stats.status();
  EXPECT_EQ(stats->endpoints, 1);
  EXPECT_EQ(stats->waiting, 1);
  EXPECT_EQ(stats->dead, 1);
}

TEST_F(WebhookStorePgTest, DisablesAnEndpointThatIsGoneAndBuriesWhatWaits) {
  const Uuid endpoint = AddEndpoint("shop"), other = AddEndpoint("shop");
  AddDelivery(endpoint, "evt_1");
  std::vector<ClaimedDelivery> claimed = Claim();
  AddDelivery(endpoint, "evt_2");
  AddDelivery(other, "evt_2");
  DeliveryResult gone = ResultOf(claimed[0], State::kDead, 410);
  gone.endpoint_gone = true;
  const std::vector<DisabledEndpoint> disabled = Finish({gone});
  ASSERT_THAT(disabled, SizeIs(1));
  EXPECT_EQ(disabled[0].client, "shop");
  EXPECT_EQ(disabled[0].reason, kDisabledGone);
  EXPECT_EQ(store_.Count()->disabled, 1);
  EXPECT_EQ(*store_.Bury(), 1);
  EXPECT_EQ(StateOf(endpoint, "evt_2"), State::kDead);
  EXPECT_EQ(StateOf(other, "evt_2"), State::kWaiting);
  EXPECT_EQ(ReasonOf(store_.Replay("shop", endpoint, "evt_2").status()), "ENDPOINT_DISABLED");
  WebhookStore::Change enable;
  enable.enabled = true;
  EXPECT_TRUE(store_.ChangeEndpoint("shop", endpoint, enable, Did("update"))->enabled);
  EXPECT_EQ(*store_.ReplayDead("shop", endpoint, absl::Hours(1)), 2);
  EXPECT_THAT(EventsIn(Claim()),
              ElementsAre("evt_1", "evt_2"));  // the other's evt_2 and, an hour before the next, evt_1
  EXPECT_EQ(StateOf(endpoint, "evt_2"), State::kWaiting);
}

// It was moved, and enabled, while an attempt at the old one was under way.
TEST_F(WebhookStorePgTest, WhatAnOldUrlAnswersSaysNothingOfTheNewOne) {
  const Uuid endpoint = AddEndpoint("shop");
  AddDelivery(endpoint, "evt_1");
  std::vector<ClaimedDelivery> claimed = Claim();
  WebhookStore::Change moved;
  moved.url = "https://new.example/";
  ASSERT_TRUE(store_.ChangeEndpoint("shop", endpoint, moved, Did("update")).ok());
  DeliveryResult gone = ResultOf(claimed[0], State::kDead, 410);
  gone.endpoint_gone = true;
  EXPECT_THAT(Finish({gone}), IsEmpty());
  EXPECT_EQ(store_.Count()->disabled, 0);
}

TEST_F(WebhookStorePgTest, OfADeletedEndpointNothingIsKeptForEver) {
  const Uuid endpoint = AddEndpoint("shop");
  ASSERT_TRUE(store_.DeleteEndpoint("shop", endpoint, Did("delete")).ok());
  EXPECT_EQ(sql().Value("SELECT url || secret FROM webhook_endpoints"), "");
  ASSERT_TRUE(store_.Forget(absl::Hours(1)).ok());
  EXPECT_EQ(sql().Value("SELECT count(*) FROM webhook_endpoints"), "1") << "it may have deliveries that wait";
  ASSERT_TRUE(store_.Forget(-absl::Hours(1)).ok());
  EXPECT_EQ(sql().Value("SELECT count(*) FROM webhook_endpoints"), "0");
}

TEST_F(WebhookStorePgTest, DisablesAnEndpointThatFailsForDays) {
  const Uuid endpoint = AddEndpoint("shop");
  AddDelivery(endpoint, "evt_1");
  AddDelivery(endpoint, "evt_2");
  std::vector<ClaimedDelivery> claimed = Claim();
  EXPECT_THAT(Finish({ResultOf(claimed[0], State::kWaiting, 500)}), IsEmpty());
  EXPECT_TRUE(store_.GetEndpoint("shop", endpoint)->failing_since.has_value());
  sql().Exec("UPDATE webhook_endpoints SET failing_since = now() - interval '119 hours'");
  EXPECT_THAT(Finish({ResultOf(claimed[1], State::kWaiting, 500)}), IsEmpty());
  AddDelivery(endpoint, "evt_3");
  AddDelivery(endpoint, "evt_4");
  claimed = Claim();
  // One success is enough to begin anew.
  EXPECT_THAT(Finish({ResultOf(claimed[0], State::kDelivered)}), IsEmpty());
  EXPECT_FALSE(store_.GetEndpoint("shop", endpoint)->failing_since.has_value());
  sql().Exec("UPDATE webhook_endpoints SET failing_since = now() - interval '121 hours'");
  const std::vector<DisabledEndpoint> disabled = Finish({ResultOf(claimed[1], State::kWaiting, 500)});
  ASSERT_THAT(disabled, SizeIs(1));
  EXPECT_EQ(disabled[0].reason, kDisabledFailing);
  EXPECT_FALSE(store_.GetEndpoint("shop", endpoint)->enabled);
  EXPECT_FALSE(*store_.AnyEndpoint());
}

TEST_F(WebhookStorePgTest, RotatesSecretsWithAnOverlap) {
  const Uuid endpoint = AddEndpoint("shop", "whsec_AAAA");
  AddDelivery(endpoint, "evt_1");
  ASSERT_TRUE(store_.RotateSecret("shop", endpoint, "whsec_BBBB", absl::Hours(1), Did("rotate")).ok());
  EXPECT_THAT(Claim()[0].secrets, ElementsAre("whsec_BBBB", "whsec_AAAA"));
  sql().Exec("UPDATE webhook_endpoints SET previous_until = now()");
  AddDelivery(endpoint, "evt_2");
  EXPECT_THAT(Claim()[0].secrets, ElementsAre("whsec_BBBB"));
  ASSERT_TRUE(store_.RotateSecret("shop", endpoint, "whsec_CCCC", absl::ZeroDuration(), Did("rotate")).ok());
  AddDelivery(endpoint, "evt_3");
  EXPECT_THAT(Claim()[0].secrets, ElementsAre("whsec_CCCC"));
  EXPECT_EQ(sql().Value("SELECT count(*) FROM audit_entries WHERE detail LIKE '%whsec%'"), "0");
}

TEST_F(WebhookStorePgTest, DiscardsWithAReasonAndReplaysOne) {
  const Uuid endpoint = AddEndpoint("shop");
  AddDelivery(endpoint, "evt_1");
  absl::StatusOr<WebhookDelivery> discarded = store_.Discard("shop", endpoint, "evt_1", "booked by hand");
  ASSERT_TRUE(discarded.ok()) << discarded.status();
  EXPECT_EQ(discarded->reason, "booked by hand");
  EXPECT_THAT(Claim(), IsEmpty());
  EXPECT_EQ(ReasonOf(store_.Discard("shop", endpoint, "evt_1", "again").status()), "DELIVERY_OVER");
  EXPECT_EQ(ReasonOf(store_.Discard("shop", endpoint, "evt_x", "again").status()), "DELIVERY_NOT_FOUND");
  ASSERT_TRUE(store_.Replay("shop", endpoint, "evt_1").ok());
  EXPECT_THAT(EventsIn(Claim()), ElementsAre("evt_1"));
}

TEST_F(WebhookStorePgTest, ForgetsWhatHasEndedAndNothingElse) {
  const Uuid endpoint = AddEndpoint("shop");
  AddDelivery(endpoint, "evt_waits");
  AddDelivery(endpoint, "evt_old");
  AddDelivery(endpoint, "evt_young");
  sql().Exec("UPDATE webhook_deliveries SET state = 'delivered' WHERE event_id <> 'evt_waits'");
  sql().Exec("UPDATE webhook_deliveries SET created_at = now() - interval '31 days' WHERE event_id <> 'evt_young'");
  EXPECT_EQ(*store_.Forget(absl::Hours(24 * 30)), 1);
  EXPECT_EQ(sql().Value("SELECT string_agg(event_id, ' ' ORDER BY event_id) FROM webhook_deliveries"),
            "evt_waits evt_young");
}

TEST_F(WebhookStorePgTest, DeletesAnEndpointWithItsSecretsAndWhatWaitsForIt) {
  const Uuid endpoint = AddEndpoint("shop", "whsec_KEEPNOT");
  AddDelivery(endpoint, "evt_1");
  ASSERT_TRUE(store_.DeleteEndpoint("shop", endpoint, Did("delete")).ok());
  EXPECT_EQ(ReasonOf(store_.GetEndpoint("shop", endpoint).status()), "ENDPOINT_NOT_FOUND");
  EXPECT_EQ(sql().Value("SELECT count(*) FROM webhook_endpoints WHERE secret <> ''"), "0");
  EXPECT_THAT(Claim(), IsEmpty());
  EXPECT_EQ(*store_.Bury(), 1);
  EXPECT_EQ(sql().Value("SELECT state FROM webhook_deliveries"), "discarded");
}

TEST_F(WebhookStorePgTest, ListsDeliveriesPageByPage) {
  const Uuid first = AddEndpoint("shop"), second = AddEndpoint("shop");
  for (const char* event : {"evt_1", "evt_2"}) {
    AddDelivery(first, event);
    AddDelivery(second, event);
  }
  sql().Exec("UPDATE webhook_deliveries SET state = 'dead', reason = 'x' WHERE event_id = 'evt_2'");
  DeliveryQuery query;
  query.owner = "shop";
  query.limit = 3;
  EXPECT_THAT(*store_.ListDeliveries(query), SizeIs(3));
  query.after_endpoint = second;
  query.after_event = "evt_1";
  EXPECT_THAT(*store_.ListDeliveries(query), SizeIs(1));
  DeliveryQuery dead;
  dead.state = State::kDead;
  dead.endpoint_id = first;
  ASSERT_THAT(*store_.ListDeliveries(dead), SizeIs(1));
  EXPECT_EQ(store_.ListDeliveries(dead)->front().event_id, "evt_2");
}

}  // namespace
}  // namespace waybill::storage
