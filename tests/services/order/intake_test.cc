#include "services/order/intake.h"

#include <cmath>
#include <functional>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/status.h"

namespace waybill::order {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

OrderRequest Good() {
  OrderRequest request;
  request.idempotency_key = "key-1";
  request.user_id = "user-1";
  request.amount = Money{1250, "EUR"};
  request.pickup = domain::GeoPoint{52.5, 13.4};
  request.metadata = {{"note", "ring twice"}};
  return request;
}

std::vector<std::string> FieldsOf(const absl::Status& status) {
  std::vector<std::string> fields;
  for (const auto& [field, what] : GetErrorDetail(status).violations) fields.push_back(field);
  return fields;
}

struct Case {
  std::string name;
  std::function<void(OrderRequest&)> spoil;
  std::string field;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class BadField : public ::testing::TestWithParam<Case> {};

TEST_P(BadField, IsNamedAndNothingElseIs) {
  OrderRequest request = Good();
  GetParam().spoil(request);
  absl::StatusOr<domain::Order> order = TakeOrder(std::move(request));
  ASSERT_EQ(order.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(GetErrorDetail(order.status()).reason, "BAD_REQUEST");
  EXPECT_THAT(FieldsOf(order.status()), ElementsAre(GetParam().field));
  EXPECT_THAT(std::string(order.status().message()), HasSubstr(GetParam().field));
}

std::map<std::string, std::string> Entries(int count) {
  std::map<std::string, std::string> entries;
  for (int i = 0; i < count; ++i) entries["key" + std::to_string(i)] = "value";
  return entries;
}

INSTANTIATE_TEST_SUITE_P(
    Intake, BadField,
    ::testing::Values(
        Case{"NoKey", [](auto& r) { r.idempotency_key = ""; }, "idempotency_key"},
        Case{"KeyOf256", [](auto& r) { r.idempotency_key = std::string(256, 'k'); }, "idempotency_key"},
        Case{"HugeKey", [](auto& r) { r.idempotency_key = std::string(1 << 20, 'k'); }, "idempotency_key"},
        Case{"KeyWithBlank", [](auto& r) { r.idempotency_key = "a b"; }, "idempotency_key"},
        Case{"KeyWithNewline", [](auto& r) { r.idempotency_key = "a\n"; }, "idempotency_key"},
        Case{"KeyWithNul", [](auto& r) { r.idempotency_key = std::string("a\0b", 3); }, "idempotency_key"},
        Case{"KeyNotAscii", [](auto& r) { r.idempotency_key = "schl\xc3\xbcssel"; }, "idempotency_key"},
        Case{"KeyNotUtf8", [](auto& r) { r.idempotency_key = "\xff"; }, "idempotency_key"},
        Case{"KeyWithDelete", [](auto& r) { r.idempotency_key = "a\x7f"; }, "idempotency_key"},
        Case{"NoUser", [](auto& r) { r.user_id = ""; }, "user_id"},
        Case{"UserOf129", [](auto& r) { r.user_id = std::string(129, 'u'); }, "user_id"},
        Case{"UserWithBlank", [](auto& r) { r.user_id = "a b"; }, "user_id"},
        Case{"UserWithNoBreakSpace", [](auto& r) { r.user_id = "a\xc2\xa0"; }, "user_id"},
        Case{"UserWithNul", [](auto& r) { r.user_id = std::string("a\0", 2); }, "user_id"},
        Case{"UserWithEscape", [](auto& r) { r.user_id = "\x1b[31m"; }, "user_id"},
        Case{"UserNotUtf8", [](auto& r) { r.user_id = "\xc3("; }, "user_id"},
        Case{"UserCutOff", [](auto& r) { r.user_id = "a\xe2\x82"; }, "user_id"},
        Case{"UserSurrogate", [](auto& r) { r.user_id = "\xed\xa0\x80"; }, "user_id"},
        Case{"UserOverlong", [](auto& r) { r.user_id = "\xc0\xaf"; }, "user_id"},
        Case{"UserBeyondUnicode", [](auto& r) { r.user_id = "\xf4\x90\x80\x80"; }, "user_id"},
        Case{"NoAmount", [](auto& r) { r.amount.reset(); }, "amount"},
        Case{"AmountZero", [](auto& r) { r.amount->minor_units = 0; }, "amount.minor_units"},
        Case{"AmountNegative", [](auto& r) { r.amount->minor_units = -1; }, "amount.minor_units"},
        Case{"AmountTooLarge", [](auto& r) { r.amount->minor_units = kAmountMinorMax + 1; }, "amount.minor_units"},
        Case{"AmountMax", [](auto& r) { r.amount->minor_units = INT64_MAX; }, "amount.minor_units"},
        Case{"AmountMin", [](auto& r) { r.amount->minor_units = INT64_MIN; }, "amount.minor_units"},
        Case{"NoCurrency", [](auto& r) { r.amount->currency = ""; }, "amount.currency"},
        Case{"CurrencyUnknown", [](auto& r) { r.amount->currency = "XXX"; }, "amount.currency"},
        Case{"CurrencyLowerCase", [](auto& r) { r.amount->currency = "eur"; }, "amount.currency"},
        Case{"CurrencyLong", [](auto& r) { r.amount->currency = "EURO"; }, "amount.currency"},
        Case{"CurrencyWithNul", [](auto& r) { r.amount->currency = std::string("EUR\0", 4); }, "amount.currency"},
        Case{"CurrencyHuge", [](auto& r) { r.amount->currency = std::string(1 << 20, 'E'); }, "amount.currency"},
        Case{"LatitudeNan", [](auto& r) { r.pickup->latitude = kNan; }, "pickup.latitude"},
        Case{"LatitudeInfinite", [](auto& r) { r.pickup->latitude = kInfinity; }, "pickup.latitude"},
        Case{"LatitudeBeyondPole", [](auto& r) { r.pickup->latitude = std::nextafter(90.0, 91); }, "pickup.latitude"},
        Case{"LatitudeBelowPole", [](auto& r) { r.pickup->latitude = -90.0001; }, "pickup.latitude"},
        Case{"LongitudeNan", [](auto& r) { r.pickup->longitude = -kNan; }, "pickup.longitude"},
        Case{"LongitudeInfinite", [](auto& r) { r.pickup->longitude = -kInfinity; }, "pickup.longitude"},
        Case{"LongitudeAround", [](auto& r) { r.pickup->longitude = 180.0001; }, "pickup.longitude"},
        Case{"PayerCardOf129", [](auto& r) { r.payer = domain::Payer{std::string(129, 'c')}; },
             "payer.card_fingerprint"},
        Case{"PayerDeviceBlank", [](auto& r) { r.payer = domain::Payer{"", "a b"}; }, "payer.device_id"},
        Case{"PayerAddressNotAscii", [](auto& r) { r.payer = domain::Payer{"", "", "ß"}; }, "payer.address"},
        Case{
            "PayerPositionPartly",
            [](auto& r) { r.payer.emplace().position = domain::GeoPoint{1, std::numeric_limits<double>::quiet_NaN()}; },
            "payer.position.longitude"},
        Case{"MetadataOf33", [](auto& r) { r.metadata = Entries(33); }, "metadata"},
        Case{"MetadataNoKey", [](auto& r) { r.metadata = {{"", "v"}}; }, "metadata"},
        Case{"MetadataKeyOf65", [](auto& r) { r.metadata = {{std::string(65, 'k'), "v"}}; }, "metadata"},
        Case{"MetadataKeyNotUtf8", [](auto& r) { r.metadata = {{"\xfe", "v"}}; }, "metadata"},
        Case{"MetadataKeyControl", [](auto& r) { r.metadata = {{"a\tb", "v"}}; }, "metadata"},
        Case{"MetadataValueOf513", [](auto& r) { r.metadata = {{"k", std::string(513, 'v')}}; }, "metadata[k]"},
        Case{"MetadataValueNul", [](auto& r) { r.metadata = {{"k", std::string("\0", 1)}}; }, "metadata[k]"},
        Case{"MetadataValueNotUtf8", [](auto& r) { r.metadata = {{"k", "\x80"}}; }, "metadata[k]"},
        Case{"ClientOf129", [](auto& r) { r.client = std::string(129, 'c'); }, "waybill-client"},
        Case{"ClientWithBlank", [](auto& r) { r.client = "my shop"; }, "waybill-client"}),
    [](const auto& test) { return test.param.name; });

TEST(Intake, AcceptsEveryFieldAtItsLimits) {
  OrderRequest request = Good();
  request.client = std::string(128, '~');
  request.idempotency_key = std::string(255, '!');
  std::string user;
  for (int i = 0; i < 128; ++i) user += "\xf0\x9f\x9a\x95";  // characters count, not bytes
  request.user_id = user;
  request.amount = Money{kAmountMinorMax, "JPY"};
  request.pickup = domain::GeoPoint{-90, 180};
  request.metadata = Entries(31);
  request.metadata[std::string(64, 'k')] = std::string(512, '\n');
  absl::StatusOr<domain::Order> order = TakeOrder(std::move(request));
  ASSERT_TRUE(order.ok()) << order.status();
  EXPECT_EQ(order->amount_minor, kAmountMinorMax);
  EXPECT_EQ(order->user_id, user);
  EXPECT_EQ(order->fingerprint.size(), 32u);
}

TEST(Intake, TakesSqlAsData) {
  const std::string sql = "'';DROP/**/TABLE/**/order_sagas;--";
  OrderRequest request = Good();
  request.client = request.idempotency_key = request.user_id = sql;
  request.metadata = {{sql, "Robert'); DROP TABLE payments; --"}};
  absl::StatusOr<domain::Order> order = TakeOrder(std::move(request));
  ASSERT_TRUE(order.ok()) << order.status();
  EXPECT_EQ(order->user_id, sql);
  EXPECT_EQ(order->metadata.at(sql), "Robert'); DROP TABLE payments; --");
}

TEST(Intake, NamesEveryBadFieldAtOnce) {
  OrderRequest request;
  request.pickup = domain::GeoPoint{kNan, 1000};
  absl::StatusOr<domain::Order> order = TakeOrder(std::move(request));
  EXPECT_THAT(FieldsOf(order.status()),
              ElementsAre("idempotency_key", "user_id", "amount", "pickup.latitude", "pickup.longitude"));
}

TEST(Intake, CallsAClientWithoutANameAnonymous) {
  EXPECT_EQ(TakeOrder(Good())->client, "anonymous");
  OrderRequest named = Good();
  named.client = "shop";
  EXPECT_EQ(TakeOrder(std::move(named))->client, "shop");
}

// --- Fingerprints.

TEST(Fingerprint, IsTheSameForTheSameRequestWhateverItsKey) {
  OrderRequest other = Good();
  other.idempotency_key = "key-2";
  other.client = "somebody";
  EXPECT_EQ(TakeOrder(Good())->fingerprint, TakeOrder(std::move(other))->fingerprint);
}

TEST(Fingerprint, TellsEveryFieldApart) {
  const std::vector<std::pair<std::function<void(OrderRequest&)>, std::string>> changes = {
      {[](auto& r) { r.user_id = "user-2"; }, "user_id"},
      {[](auto& r) { r.amount->minor_units = 1251; }, "amount.minor_units"},
      {[](auto& r) { r.amount->currency = "USD"; }, "amount.currency"},
      {[](auto& r) { r.pickup.reset(); }, "pickup"},
      {[](auto& r) { r.pickup->latitude = std::nextafter(52.5, 53); }, "pickup"},
      {[](auto& r) { r.pickup->longitude = 13.41; }, "pickup"},
      {[](auto& r) { r.metadata.clear(); }, "metadata"},
      {[](auto& r) { r.payer = domain::Payer{"card-1"}; }, "payer"},
      {[](auto& r) { r.metadata["note"] = "ring once"; }, "metadata"},
      {[](auto& r) {
         r.metadata = {{"noter", "ing twice"}};
       },
       "metadata"},  // the same bytes, cut elsewhere
  };
  domain::Order order = *TakeOrder(Good());
  std::set<std::string> seen = {order.fingerprint};
  for (const auto& [change, field] : changes) {
    OrderRequest request = Good();
    change(request);
    domain::Order changed = *TakeOrder(std::move(request));
    EXPECT_TRUE(seen.insert(changed.fingerprint).second) << field;
    absl::Status reused = CheckSameRequest(order, changed);
    EXPECT_EQ(reused.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(GetErrorDetail(reused).reason, "IDEMPOTENCY_KEY_REUSED");
    EXPECT_THAT(GetErrorDetail(reused).metadata, ElementsAre(std::pair<std::string, std::string>("fields", field)));
  }
  EXPECT_TRUE(CheckSameRequest(order, order).ok());
}

TEST(Fingerprint, TakesMinusZeroForZero) {
  OrderRequest zero = Good(), minus = Good();
  zero.pickup = domain::GeoPoint{0.0, 0.0};
  minus.pickup = domain::GeoPoint{-0.0, -0.0};
  EXPECT_EQ(TakeOrder(std::move(zero))->fingerprint, TakeOrder(std::move(minus))->fingerprint);
}

TEST(Fingerprint, IsStable) {
  // In the database there are fingerprints of years ago: this value may never change.
  EXPECT_EQ(absl::BytesToHexString(TakeOrder(Good())->fingerprint),
            "95289914ebf360b2a4db15bb497e368edcae3d74ce60fb6125b66cc3f272b8c2");
}

// --- The other fields.

TEST(Intake, TakesIdsInEitherCaseAndNothingElse) {
  EXPECT_TRUE(TakeId("0190f0a0-0000-7000-8000-00000000000A", "order_id").ok());
  for (const char* bad : {"", "0190", "0190f0a0-0000-7000-8000-00000000000g", "0190f0a000007000800000000000000a",
                          "{190f0a0-0000-7000-8000-00000000000a}", "' OR 1=1; --"}) {
    absl::StatusOr<Uuid> id = TakeId(bad, "order_id");
    EXPECT_THAT(FieldsOf(id.status()), ElementsAre("order_id")) << bad;
  }
}

TEST(Intake, BoundsFreeTextByCharacters) {
  Violations fine;
  CheckText("", 0, 3, "reason", fine);
  CheckText("\xe2\x82\xac\n\t", 0, 3, "reason", fine);
  EXPECT_TRUE(fine.empty());
  for (const std::string& bad : {std::string("four"), std::string("a\0", 2), std::string("\xff")}) {
    Violations violations;
    CheckText(bad, 0, 3, "reason", violations);
    EXPECT_THAT(FieldsOf(std::move(violations).ToStatus()), ElementsAre("reason"));
  }
  Violations missing;
  CheckText("", 1, 3, "operator", missing);
  EXPECT_FALSE(missing.empty());
}

TEST(Intake, BoundsPageSizes) {
  Violations fine;
  EXPECT_EQ(TakePageSize(0, fine), kPageSizeDefault);
  EXPECT_EQ(TakePageSize(1, fine), 1);
  EXPECT_EQ(TakePageSize(kPageSizeMax, fine), kPageSizeMax);
  EXPECT_TRUE(fine.empty());
  for (int bad : {-1, kPageSizeMax + 1, INT32_MIN, INT32_MAX}) {
    Violations violations;
    TakePageSize(bad, violations);
    EXPECT_FALSE(violations.empty()) << bad;
  }
}

TEST(PageToken, ContinuesAfterItsIdUnderItsOwnFilterOnly) {
  const Uuid id = *Uuid::Parse("0190f0a0-1234-7000-8000-00000000000a");
  const std::string token = MakePageToken(id, "user=1");
  Violations fine;
  EXPECT_EQ(TakePageToken(token, "user=1", fine), id);
  EXPECT_EQ(TakePageToken("", "user=1", fine), std::nullopt);
  for (const uint64_t cursor : {uint64_t{1}, uint64_t{0x0123'4567'89ab'cdef}, UINT64_MAX})
    EXPECT_EQ(TakePageCursor(MakePageToken(cursor, "fleet"), "fleet", fine), cursor);
  EXPECT_EQ(TakePageCursor("", "fleet", fine), 0u);
  EXPECT_TRUE(fine.empty());

  std::string changed = token;
  changed[changed.size() - 2] = changed[changed.size() - 2] == 'A' ? 'B' : 'A';
  for (const std::string& bad :
       {std::string("x"), std::string("!!!!"), token + "AAAA", token.substr(1), changed, std::string(1 << 20, 'A'),
        token + "=", " " + token, std::string("\0\0\0\0", 4), std::string("' OR ''='")}) {
    Violations violations;
    EXPECT_EQ(TakePageToken(bad, "user=1", violations), std::nullopt);
    EXPECT_THAT(FieldsOf(std::move(violations).ToStatus()), ElementsAre("page_token"));
  }
  Violations foreign;
  EXPECT_EQ(TakePageToken(token, "user=2", foreign), std::nullopt);
  EXPECT_FALSE(foreign.empty());
}

}  // namespace
}  // namespace waybill::order
