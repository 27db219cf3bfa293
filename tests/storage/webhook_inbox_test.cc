#include "runtime/testing/manual_time.h"
#include "storage/testing/memory_webhook_inbox.h"
#include "tests/storage/webhook_inbox_contract.h"

namespace waybill::storage {
namespace {

class MemoryInboxHarness final : public WebhookInboxHarness {
 public:
  WebhookInbox& inbox() override { return inbox_; }
  void MakeDue() override {
    for (auto& [key, row] : book_.rows) {
      if (row.due_at != absl::InfiniteFuture()) row.due_at = time_.Now() - absl::Seconds(1);
    }
  }
  void MakeOld() override {
    for (auto& [key, row] : book_.rows) row.received_at -= absl::Hours(24 * 31);
  }
  std::string StateOf(const std::string& id) override {
    const auto row = book_.rows.find({"acme", id});
    return row == book_.rows.end() ? "" : std::string(Name(row->second.state));
  }

 private:
  waybill::testing::ManualTime time_;
  testing::MemoryOrderBook orders_;
  testing::MemoryInboxBook book_;
  testing::MemoryWebhookInbox inbox_{book_, orders_, time_};
};

INSTANTIATE_TEST_SUITE_P(Memory, WebhookInboxContract,
                         ::testing::Values([] { return std::make_unique<MemoryInboxHarness>(); }));

}  // namespace
}  // namespace waybill::storage
