#include "services/order/dead_letter_gauges.h"

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/testing/manual_time.h"

namespace waybill::order {
namespace {

using storage::DeadLetterKind;
using ::testing::HasSubstr;
using ::testing::Not;

// What is absent has not grown when it is there; what was 0 has.
TEST(DeadLetterGauges, AKindWithoutAnyIsZeroOnceTheyAreCounted) {
  waybill::testing::ManualTime time;
  Metrics metrics;
  DeadLetterGauges gauges(metrics, time);
  EXPECT_THAT(metrics.ToText(), Not(HasSubstr("waybill_dead_letters{"))) << "nobody has counted: that is not none";
  gauges.Show({{DeadLetterKind::kSaga, "PAYMENT_UNKNOWN", 3, 0, time.Now() - absl::Seconds(60)}});
  const std::string shown = metrics.ToText();
  EXPECT_THAT(shown, HasSubstr("waybill_dead_letters{cause=\"PAYMENT_UNKNOWN\",kind=\"saga\"} 3"));
  for (const char* kind : {"event", "delivery", "case"}) {
    EXPECT_THAT(shown, HasSubstr(fmt::format("waybill_dead_letters{{cause=\"NONE\",kind=\"{}\"}} 0", kind)));
    EXPECT_THAT(shown, HasSubstr(fmt::format("waybill_dead_letters_oldest_seconds{{kind=\"{}\"}} 0", kind)));
  }
  EXPECT_THAT(shown, Not(HasSubstr("cause=\"NONE\",kind=\"saga\"")));
  EXPECT_THAT(shown, HasSubstr("waybill_dead_letters_oldest_seconds{kind=\"saga\"} 60"));
}

}  // namespace
}  // namespace waybill::order
