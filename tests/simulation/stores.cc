#include "tests/simulation/stores.h"

#include <optional>

#include "domain/reasons.h"

namespace waybill::simulation {

using saga::Record;

SimulatedJournal::SimulatedJournal(saga::testing::MemoryBook& book, const Clock& clock, saga::Lease lease, Host& host,
                                   const Outages& outages, const Loops& loops)
    : host_(host),
      outages_(outages),
      memory_(book, clock, std::move(lease)),
      batcher_({&first_, &second_}, Batching(), loops) {
  // Not within a batch: it is one transaction, and its answer is lost as a whole, see Write.
  memory_.set_in_gap([&host](saga::Gap gap) {
    const bool of_batch = gap == saga::Gap::kAfterBegin || gap == saga::Gap::kAfterAdvance;
    return of_batch ? absl::OkStatus() : host.Gap();
  });
}

BatcherOptions SimulatedJournal::Batching() {
  BatcherOptions batching;
  batching.queue_max = 200;
  batching.batch_max = 8;
  batching.join_min = 3;
  batching.complete_beside = true;
  return batching;
}

void SimulatedJournal::Begin(const Record& record, BeginDone done) {
  Op op;
  op.begin = &record;
  op.begin_done = std::move(done);
  if (!batcher_.Offer(op)) op.begin_done(domain::QueueFull("the journal's queue is full", absl::Milliseconds(100)));
}

void SimulatedJournal::Advance(const saga::Write& write, AdvanceDone done) {
  Op op;
  op.write = write;
  op.write_id = memory_.NewWriteId();
  op.advance_done = std::move(done);
  if (!batcher_.OfferAlways(op)) op.advance_done(absl::UnavailableError("the journal is stopping"));
}

// Finishes first, as the real one has it: they free what the new ones may want.
BatchResult SimulatedJournal::Writer::Write(std::span<Op> batch) {
  if (!journal_.Reach().ok()) return BatchResult::kTryAgain;
  for (Op& op : batch) {
    if (op.begin != nullptr) continue;
    journal_.memory_.Advance(op.write, op.write_id, [&op](const auto& result) { op.result = result; });
  }
  for (Op& op : batch) {
    if (op.begin == nullptr) continue;
    journal_.memory_.Begin(*op.begin, [&op](auto existing) { op.existing = std::move(existing); });
  }
  if (!journal_.host_.Gap().ok()) return BatchResult::kTryAgain;
  // Durable, and whoever wrote it dies before it does anything about it.
  return journal_.host_.alive() ? BatchResult::kWritten : BatchResult::kTryAgain;
}

void SimulatedJournal::Writer::Complete(Op& op, const absl::Status& status) {
  if (op.begin != nullptr) {
    op.begin_done(status.ok() ? std::move(op.existing) : status);
  } else {
    op.advance_done(status.ok() ? op.result : status);
  }
}

absl::StatusOr<std::vector<std::unique_ptr<Record>>> SimulatedJournal::ClaimExpired(bool own, size_t limit,
                                                                                    std::string_view kind) {
  if (absl::Status lost = Reach(); !lost.ok()) return lost;
  return memory_.ClaimExpired(own, limit, kind);
}

absl::StatusOr<std::unique_ptr<Record>> SimulatedJournal::Claim(const Uuid& id, saga::ClaimMode mode) {
  if (absl::Status lost = Reach(); !lost.ok()) return lost;
  return memory_.Claim(id, mode);
}

absl::StatusOr<saga::SignalResult> SimulatedJournal::AddSignal(const Uuid& id, const saga::Signal& signal) {
  if (absl::Status lost = Reach(); !lost.ok()) return lost;
  absl::StatusOr<saga::SignalResult> result = memory_.AddSignal(id, signal);
  if (absl::Status lost = host_.Gap(); !lost.ok()) return lost;
  return result;
}

absl::StatusOr<std::vector<Uuid>> SimulatedJournal::Renew(std::span<const saga::Held> held) {
  if (absl::Status lost = Reach(); !lost.ok()) return lost;
  absl::StatusOr<std::vector<Uuid>> result = memory_.Renew(held);
  if (absl::Status lost = host_.Gap(); !lost.ok()) return lost;
  return result;
}

absl::Status SimulatedJournal::ReleaseAll() {
  if (absl::Status lost = Reach(); !lost.ok()) return lost;
  return memory_.ReleaseAll();
}

absl::StatusOr<std::unique_ptr<Record>> SimulatedJournal::Load(const Uuid& id) {
  if (absl::Status lost = Reach(); !lost.ok()) return lost;
  return memory_.Load(id);
}

absl::StatusOr<std::vector<saga::LogEntry>> SimulatedJournal::LoadLog(const Uuid& id, int64_t from_seq) {
  if (absl::Status lost = Reach(); !lost.ok()) return lost;
  return memory_.LoadLog(id, from_seq);
}

absl::StatusOr<storage::OrderRecord> SimulatedStore::Get(const Uuid& order_id) {
  if (absl::Status lost = Reach(); !lost.ok()) return lost;
  return fake_.Get(order_id);
}

absl::StatusOr<storage::OrderRecord> SimulatedStore::GetByKey(const std::string& client, const std::string& key) {
  if (absl::Status lost = Reach(); !lost.ok()) return lost;
  return fake_.GetByKey(client, key);
}

absl::StatusOr<std::vector<storage::OrderRecord>> SimulatedStore::List(const storage::OrderQuery& query) {
  if (absl::Status lost = Reach(); !lost.ok()) return lost;
  return fake_.List(query);
}

absl::StatusOr<std::vector<saga::LogEntry>> SimulatedStore::Log(const Uuid& order_id, int64_t from_seq) {
  if (absl::Status lost = Reach(); !lost.ok()) return lost;
  return fake_.Log(order_id, from_seq);
}

absl::StatusOr<std::vector<std::pair<Uuid, int64_t>>> SimulatedStore::LastSequences(
    const std::vector<Uuid>& order_ids) {
  if (absl::Status lost = Reach(); !lost.ok()) return lost;
  return fake_.LastSequences(order_ids);
}

absl::StatusOr<std::vector<std::pair<Uuid, int64_t>>> SimulatedStore::RefundChanges(
    const std::vector<Uuid>& order_ids) {
  if (absl::Status lost = Reach(); !lost.ok()) return lost;
  return fake_.RefundChanges(order_ids);
}

absl::StatusOr<std::vector<storage::SagaView>> SimulatedStore::ListSagas(const storage::SagaQuery& query) {
  if (absl::Status lost = Reach(); !lost.ok()) return lost;
  return fake_.ListSagas(query);
}

absl::StatusOr<std::vector<Uuid>> SimulatedStore::InReview(const std::optional<Uuid>& before, int limit) {
  if (absl::Status lost = Reach(); !lost.ok()) return lost;
  return fake_.InReview(before, limit);
}

absl::StatusOr<storage::SagaView> SimulatedStore::GetSaga(const Uuid& saga_id) {
  if (absl::Status lost = Reach(); !lost.ok()) return lost;
  return fake_.GetSaga(saga_id);
}

absl::StatusOr<std::vector<saga::LogEntry>> SimulatedStore::SagaLog(const Uuid& saga_id) {
  if (absl::Status lost = Reach(); !lost.ok()) return lost;
  return fake_.SagaLog(saga_id);
}

absl::StatusOr<storage::UnfinishedStats> SimulatedStore::Unfinished(const saga::Kinds& here) {
  if (absl::Status lost = Reach(); !lost.ok()) return lost;
  return fake_.Unfinished(here);
}

absl::StatusOr<std::vector<domain::DriverSlot>> SimulatedStore::TakenSlots() {
  if (absl::Status lost = Reach(); !lost.ok()) return lost;
  return fake_.TakenSlots();
}

absl::StatusOr<std::vector<domain::DriverSlot>> SimulatedStore::Capacities() {
  if (absl::Status lost = Reach(); !lost.ok()) return lost;
  return fake_.Capacities();
}

absl::StatusOr<std::vector<domain::DriverLoad>> SimulatedStore::Loads(const std::vector<std::string>& driver_ids) {
  if (absl::Status lost = Reach(); !lost.ok()) return lost;
  return fake_.Loads(driver_ids);
}

bool SimulatedInbox::Keep(storage::WebhookArrival& arrival) {
  if (host_.chance().OneIn(100)) return false;  // its queue is full
  host_.After(host_.Soon(), [this, kept = std::move(arrival)]() mutable { Write(std::move(kept)); });
  return true;
}

// One whose answer is lost is written once more, over a new connection, if that comes about: then it was there before.
void SimulatedInbox::Write(storage::WebhookArrival arrival) {
  if (absl::Status lost = Reach(); !lost.ok()) return arrival.done(lost);
  bool fresh = memory_.Insert(arrival);
  if (absl::Status lost = host_.Gap(); !lost.ok()) {
    if (absl::Status again = Reach(); !again.ok()) return arrival.done(again);
    fresh = memory_.Insert(arrival);
  }
  if (host_.alive()) arrival.done(fresh);
}

absl::StatusOr<std::vector<storage::WebhookDue>> SimulatedInbox::ClaimDue(int limit) {
  if (absl::Status lost = Reach(); !lost.ok()) return lost;
  absl::StatusOr<std::vector<storage::WebhookDue>> due = memory_.ClaimDue(limit);
  if (absl::Status lost = host_.Gap(); !lost.ok()) return lost;
  return due;
}

absl::StatusOr<std::vector<std::optional<storage::WebhookOrder>>> SimulatedInbox::FindOrders(
    std::span<const storage::WebhookEvent> events, std::span<const std::optional<Uuid>> order_ids) {
  if (absl::Status lost = Reach(); !lost.ok()) return lost;
  auto found = memory_.FindOrders(events, order_ids);
  if (absl::Status lost = host_.Gap(); !lost.ok()) return lost;
  return found;
}

absl::Status SimulatedInbox::Settle(std::span<const storage::WebhookSettlement> settled) {
  if (absl::Status lost = Reach(); !lost.ok()) return lost;
  absl::Status written = memory_.Settle(settled);
  if (absl::Status lost = host_.Gap(); !lost.ok()) return lost;
  return written;
}

absl::StatusOr<int64_t> SimulatedInbox::DeleteOld(absl::Duration keep, int limit) {
  if (absl::Status lost = Reach(); !lost.ok()) return lost;
  return memory_.DeleteOld(keep, limit);
}

absl::StatusOr<storage::InboxStats> SimulatedInbox::Stats() {
  if (absl::Status lost = Reach(); !lost.ok()) return lost;
  return memory_.Stats();
}

// Answered later, as a search is that shares its round trip with others.
void SimulatedFleet::Nearest(const storage::NearestQuery& query,
                             absl::AnyInvocable<void(absl::StatusOr<std::vector<storage::NearbyDriver>>)> done) {
  host_.After(host_.Soon(), [this, query, done = std::move(done)]() mutable {
    if (absl::Status lost = Reach(); !lost.ok()) return done(lost);
    fake_.Nearest(query, std::move(done));
  });
}

absl::StatusOr<storage::FleetPage> SimulatedFleet::Scan(uint64_t cursor, int count) {
  if (absl::Status lost = Reach(); !lost.ok()) return lost;
  return fake_.Scan(cursor, count);
}

absl::Status SimulatedFleet::Put(const std::vector<domain::DriverPosition>& positions, absl::Duration ttl) {
  if (absl::Status lost = Reach(); !lost.ok()) return lost;
  return fake_.Put(positions, ttl);
}

absl::StatusOr<std::vector<std::optional<domain::DriverPosition>>> SimulatedFleet::Get(
    const std::vector<std::string>& driver_ids) {
  if (absl::Status lost = Reach(); !lost.ok()) return lost;
  return fake_.Get(driver_ids);
}

}  // namespace waybill::simulation
