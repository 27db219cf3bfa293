#include <memory>
#include <string>
#include <vector>

#include "runtime/testing/manual_time.h"
#include "storage/testing/memory_dead_letters.h"
#include "tests/storage/dead_letter_contract.h"

namespace waybill::storage {
namespace {

class MemoryLetterHarness final : public DeadLetterHarness {
 public:
  DeadLetterStore& store() override { return letters_; }
  absl::Time Now() override { return time_.Now(); }
  void AddEvent(const std::string& id, const std::string& cause, int minutes_ago) override {
    DeadLetter letter = Letter(DeadLetterKind::kEvent, "event/acme/" + id, cause, minutes_ago);
    letter.gateway = "acme";
    letters_.Add(std::move(letter));
  }
  void AddDelivery(const std::string& id, bool enabled, int minutes_ago) override {
    DeadLetter letter =
        Letter(DeadLetterKind::kDelivery, fmt::format("delivery/{}/{}", kLetterEndpoint, id), "REFUSED", minutes_ago);
    letter.client = "shop";
    letter.endpoint_id = Uuid::Parse(kLetterEndpoint);
    if (!enabled) letter.blocked = "ENDPOINT_DISABLED";
    letters_.Add(std::move(letter));
  }
  void AddSaga() override {
    DeadLetter letter =
        Letter(DeadLetterKind::kSaga, fmt::format("saga/{}", kLetterOrder), "REFUND_MISMATCH", /*minutes_ago=*/10);
    letter.client = "shop";
    letters_.Add(std::move(letter));
  }
  std::vector<std::string> Deeds() override {
    std::vector<std::string> deeds;
    for (const domain::Deed& deed : letters_.deeds()) deeds.push_back(deed.action + " " + deed.subject);
    return deeds;
  }

 private:
  DeadLetter Letter(DeadLetterKind kind, std::string id, std::string cause, int minutes_ago) const {
    DeadLetter letter;
    letter.kind = kind;
    letter.id = std::move(id);
    letter.cause = std::move(cause);
    letter.since = time_.Now() - absl::Minutes(minutes_ago);
    return letter;
  }

  waybill::testing::ManualTime time_;
  testing::MemoryDeadLetters letters_;
};

INSTANTIATE_TEST_SUITE_P(Memory, DeadLetterContract,
                         ::testing::Values([] { return std::make_unique<MemoryLetterHarness>(); }));

}  // namespace
}  // namespace waybill::storage
