#include "storage/audit_log.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/testing/fake_audit_log.h"

namespace waybill::storage {
namespace {

using ::testing::HasSubstr;

std::vector<AuditEntry> Chain(int length) {
  testing::FakeAuditLog audit;
  for (int i = 0; i < length; ++i)
    EXPECT_TRUE(audit.Append({{"shop", "k1", "ann"}, "order.cancel", "order", "o"}).ok());
  AuditQuery all;
  all.oldest_first = true;
  return *audit.List(all);
}

// What the chain says of them, and behind which entry.
std::string Fault(const std::vector<AuditEntry>& entries) {
  AuditChain chain;
  for (const AuditEntry& entry : entries) {
    if (std::string fault = chain.Add(entry); !fault.empty()) return fault;
  }
  return "";
}

TEST(AuditChain, GoesAlongWhatIsWhole) {
  EXPECT_EQ(Fault(Chain(5)), "");
  EXPECT_EQ(Fault({}), "");
}

TEST(AuditChain, NamesWhatIsMissing) {
  std::vector<AuditEntry> entries = Chain(5);
  entries.erase(entries.begin() + 2);
  EXPECT_EQ(Fault(entries), "entry 3 is missing");
  entries = Chain(5);
  entries.erase(entries.begin(), entries.begin() + 3);
  EXPECT_EQ(Fault(entries), "entries 1 to 3 are missing");
}

TEST(AuditChain, AnyFieldThatWasChangedShows) {
  using Change = void (*)(AuditEntry&);
  const Change changes[] = {
      [](AuditEntry& entry) { entry.at += absl::Microseconds(1); },
      [](AuditEntry& entry) { entry.by.client = "other"; }, [](AuditEntry& entry) { entry.by.key_id = ""; },
      [](AuditEntry& entry) { entry.by.operator_name = "bob"; },
      [](AuditEntry& entry) { entry.action = "order.complete"; },
      [](AuditEntry& entry) { entry.subject_kind = "saga"; }, [](AuditEntry& entry) { entry.subject = "p"; },
      [](AuditEntry& entry) { entry.detail = "{} "; }, [](AuditEntry& entry) { entry.hash[0] ^= 1; },
      // A field's end is no matter of taste.
      [](AuditEntry& entry) { entry.subject = "derp", entry.subject_kind = "or"; }};
  for (const Change change : changes) {
    std::vector<AuditEntry> entries = Chain(3);
    change(entries[1]);
    EXPECT_THAT(Fault(entries), HasSubstr("entry 2 was changed"));
  }
}

TEST(AuditChain, AnEntryThatWasHashedAnewIsNotFollowedByTheNext) {
  std::vector<AuditEntry> entries = Chain(3);
  entries[1].by.client = "other";
  entries[1].hash = AuditHash(entries[1]);
  EXPECT_THAT(Fault(entries), HasSubstr("entry 3 does not follow"));
}

// Whoever writes a verifier of his own can compare: printed by migrations/0016_audit.sql's audit_hash.
TEST(AuditChain, TheHashIsWhatItSays) {
  AuditEntry entry;
  entry.sequence = 1;
  entry.at = absl::FromUnixMicros(1'800'000'000'000'001);
  entry.by = {"shop", "k1", "ann"};
  entry.action = "saga.resolve";
  entry.subject_kind = "saga";
  entry.subject = "s-1";
  entry.detail = R"({"reason":"paid back"})";
  entry.previous_hash = std::string(32, '\0');
  entry.hash = AuditHash(entry);
  EXPECT_EQ(ShowHead({entry.sequence, entry.hash}),
            "1:2b686da0308ffbd0287096cc20822b3cf4aec77703c343b84eb9f706add616dc");
}

TEST(AuditHead, IsReadAsItIsShown) {
  const AuditHead head{17, std::string(31, '\x01') + "\xff"};
  EXPECT_EQ(*ParseHead(ShowHead(head)), head);
  EXPECT_EQ(*ParseHead(ShowHead(AuditHead())), AuditHead());
  const std::string hex(64, 'a');
  for (const std::string& bad : {std::string(), std::string("17"), std::string("17:"), "17:" + hex + "a", ":" + hex,
                                 "-1:" + hex, "1x:" + hex, "1:" + std::string(64, 'g'), " 1:" + hex}) {
    EXPECT_EQ(ParseHead(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

}  // namespace
}  // namespace waybill::storage
