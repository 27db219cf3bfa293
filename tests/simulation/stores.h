// One process's journal, store and fleet, over books in memory that all processes share. The journal writes by group
// commit, through main's own batcher; every request and every answer may be lost, and others come in between.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/batcher.h"
#include "saga/journal.h"
#include "saga/testing/memory_journal.h"
#include "storage/fleet.h"
#include "storage/order_store.h"
#include "storage/testing/fake_fleet.h"
#include "storage/testing/fake_order_store.h"
#include "storage/testing/memory_webhook_inbox.h"
#include "tests/simulation/host.h"

namespace waybill::simulation {

// What is away for all processes.
struct Outages {
  bool store = false;
  bool fleet = false;
};

class SimulatedJournal final : public saga::Journal {
 public:
  // All outlive this. `clock` is the store's.
  SimulatedJournal(saga::testing::MemoryBook& book, const Clock& clock, saga::Lease lease, Host& host,
                   const Outages& outages, const Loops& loops);

  void set_kinds(const saga::Kinds* kinds) { memory_.set_kinds(kinds); }
  void Stop() { batcher_.Stop(); }

  void Begin(const saga::Record& record, BeginDone done) override;
  void Advance(const saga::Write& write, AdvanceDone done) override;
  absl::StatusOr<std::vector<std::unique_ptr<saga::Record>>> ClaimExpired(bool own, size_t limit,
                                                                          std::string_view kind) override;
  absl::StatusOr<std::unique_ptr<saga::Record>> Claim(const Uuid& id, saga::ClaimMode mode) override;
  absl::StatusOr<saga::SignalResult> AddSignal(const Uuid& id, const saga::Signal& signal) override;
  absl::StatusOr<std::vector<Uuid>> Renew(std::span<const saga::Held> held) override;
  absl::Status ReleaseAll() override;
  absl::StatusOr<std::unique_ptr<saga::Record>> Load(const Uuid& id) override;
  absl::StatusOr<std::vector<saga::LogEntry>> LoadLog(const Uuid& id, int64_t from_seq) override;

 private:
  struct Op {
    const saga::Record* begin = nullptr;  // null: an advance
    BeginDone begin_done;
    absl::StatusOr<std::unique_ptr<saga::Record>> existing = nullptr;
    saga::Write write;
    AdvanceDone advance_done;
    uint64_t write_id = 0;  // the same each time the batch is tried
    absl::StatusOr<saga::WriteResult> result = saga::WriteResult::kFenced;
  };
  class Writer final : public BatchWriter<Op> {
   public:
    explicit Writer(SimulatedJournal& journal) : journal_(journal) {}
    BatchResult Write(std::span<Op> batch) override;
    void Complete(Op& op, const absl::Status& status) override;
    absl::Status BadDataError() override { return absl::InternalError("no batch has bad data"); }

   private:
    SimulatedJournal& journal_;
  };

  absl::Status Reach() { return host_.Reach(outages_.store); }
  static BatcherOptions Batching();

  Host& host_;
  const Outages& outages_;
  saga::testing::MemoryJournal memory_;
  Writer first_{*this}, second_{*this};
  Batcher<Op> batcher_;
};

// Reads, each of which may be lost.
class SimulatedStore final : public storage::OrderStore {
 public:
  SimulatedStore(saga::testing::MemoryBook& book, const Clock& clock, Host& host, const Outages& outages)
      : host_(host), outages_(outages), fake_(book, clock) {}

  storage::testing::FakeOrderStore& fake() { return fake_; }

  absl::StatusOr<storage::OrderRecord> Get(const Uuid& order_id) override;
  absl::StatusOr<storage::OrderRecord> GetByKey(const std::string& client, const std::string& key) override;
  absl::StatusOr<std::vector<storage::OrderRecord>> List(const storage::OrderQuery& query) override;
  absl::StatusOr<std::vector<saga::LogEntry>> Log(const Uuid& order_id, int64_t from_seq) override;
  absl::StatusOr<std::vector<std::pair<Uuid, int64_t>>> LastSequences(const std::vector<Uuid>& order_ids) override;
  absl::StatusOr<std::vector<std::pair<Uuid, int64_t>>> RefundChanges(const std::vector<Uuid>& order_ids) override;
  absl::StatusOr<std::vector<storage::SagaView>> ListSagas(const storage::SagaQuery& query) override;
  absl::StatusOr<std::vector<Uuid>> InReview(const std::optional<Uuid>& before, int limit) override;
  absl::StatusOr<storage::SagaView> GetSaga(const Uuid& saga_id) override;
  absl::StatusOr<std::vector<saga::LogEntry>> SagaLog(const Uuid& saga_id) override;
  absl::StatusOr<storage::UnfinishedStats> Unfinished(const saga::Kinds& here) override;
  absl::StatusOr<std::vector<domain::DriverSlot>> TakenSlots() override;
  absl::StatusOr<std::vector<domain::DriverSlot>> Capacities() override;
  absl::StatusOr<std::vector<domain::DriverLoad>> Loads(const std::vector<std::string>& driver_ids) override;
  absl::Status Ping() override { return Reach(); }

 private:
  absl::Status Reach() { return host_.Reach(outages_.store); }

  Host& host_;
  const Outages& outages_;
  storage::testing::FakeOrderStore fake_;
};

// Events come in one by one, and not in batches: nothing that one has to do with another is decided there.
class SimulatedInbox final : public storage::WebhookInbox {
 public:
  SimulatedInbox(storage::testing::MemoryInboxBook& book, const storage::testing::MemoryOrderBook& orders,
                 const Clock& clock, Host& host, const Outages& outages)
      : host_(host), outages_(outages), memory_(book, orders, clock) {}

  bool Keep(storage::WebhookArrival& arrival) override;
  absl::StatusOr<std::vector<storage::WebhookDue>> ClaimDue(int limit) override;
  absl::StatusOr<std::vector<std::optional<storage::WebhookOrder>>> FindOrders(
      std::span<const storage::WebhookEvent> events, std::span<const std::optional<Uuid>> order_ids) override;
  absl::Status Settle(std::span<const storage::WebhookSettlement> settled) override;
  absl::StatusOr<int64_t> DeleteOld(absl::Duration keep, int limit) override;
  absl::StatusOr<storage::InboxStats> Stats() override;

 private:
  absl::Status Reach() { return host_.Reach(outages_.store); }
  void Write(storage::WebhookArrival arrival);

  Host& host_;
  const Outages& outages_;
  storage::testing::MemoryWebhookInbox memory_;
};

class SimulatedFleet final : public storage::Fleet {
 public:
  SimulatedFleet(storage::testing::FakeFleet& fake, Host& host, const Outages& outages)
      : fake_(fake), host_(host), outages_(outages) {}

  void Nearest(const storage::NearestQuery& query,
               absl::AnyInvocable<void(absl::StatusOr<std::vector<storage::NearbyDriver>>)> done) override;
  absl::StatusOr<storage::FleetPage> Scan(uint64_t cursor, int count) override;
  absl::Status Put(const std::vector<domain::DriverPosition>& positions, absl::Duration ttl) override;
  absl::StatusOr<std::vector<std::optional<domain::DriverPosition>>> Get(
      const std::vector<std::string>& driver_ids) override;
  absl::Status Ping() override { return Reach(); }

 private:
  absl::Status Reach() { return host_.Reach(outages_.fleet); }

  storage::testing::FakeFleet& fake_;
  Host& host_;
  const Outages& outages_;
};

}  // namespace waybill::simulation
