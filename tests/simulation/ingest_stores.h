// One ingest process's history and hot view, over those in memory that all processes share. History is written by group
// commit, through main's own batcher; every request and every answer may be lost, and others come in between.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/batcher.h"
#include "storage/hot_view.h"
#include "storage/location_log.h"
#include "storage/testing/fake_fleet.h"
#include "storage/testing/fake_location_store.h"
#include "tests/simulation/host.h"
#include "tests/simulation/stores.h"

namespace waybill::simulation {

class SimulatedLog final : public storage::LocationLog {
 public:
  // `on_commit` as in PostgresLocationLog's options.
  SimulatedLog(storage::testing::FakeLocationStore& store, Host& host, const Outages& outages, const Loops& loops,
               std::function<void()> on_commit)
      : store_(store),
        host_(host),
        outages_(outages),
        on_commit_(std::move(on_commit)),
        batcher_({&first_, &second_}, Batching(), loops) {}

  bool Append(storage::LocationAppend& append) override { return batcher_.OfferAlways(append); }
  size_t queue_depth() const override { return batcher_.queue_depth(); }
  bool stalled() const override { return batcher_.retrying() > 0; }
  void Stop() { batcher_.Stop(); }

 private:
  class Writer final : public BatchWriter<storage::LocationAppend> {
   public:
    explicit Writer(SimulatedLog& log) : log_(log) {}
    BatchResult Write(std::span<storage::LocationAppend> batch) override {
      if (!log_.host_.Reach(log_.outages_.store).ok()) return BatchResult::kTryAgain;
      for (storage::LocationAppend& append : batch) {
        storage::LocationAppend copy;
        copy.locations = append.locations;
        copy.done = [&append](const absl::Status&, storage::LocationAppend& stored) {
          append.refused = std::move(stored.refused);
        };
        if (!log_.store_.Append(copy)) return BatchResult::kTryAgain;
      }
      if (!log_.host_.Gap().ok() || !log_.host_.alive()) return BatchResult::kTryAgain;
      log_.on_commit_();
      return BatchResult::kWritten;
    }
    void Complete(storage::LocationAppend& append, const absl::Status& status) override { append.done(status, append); }
    absl::Status BadDataError() override { return absl::InternalError("no batch has bad data"); }

   private:
    SimulatedLog& log_;
  };

  static BatcherOptions Batching() {
    BatcherOptions batching;
    batching.batch_max = 40;
    batching.join_min = 10;
    return batching;
  }

  storage::testing::FakeLocationStore& store_;
  Host& host_;
  const Outages& outages_;
  const std::function<void()> on_commit_;
  Writer first_{*this}, second_{*this};
  Batcher<storage::LocationAppend> batcher_;
};

class SimulatedHistory final : public storage::LocationHistory {
 public:
  SimulatedHistory(storage::testing::FakeLocationStore& store, Host& host, const Outages& outages)
      : store_(store), host_(host), outages_(outages) {}

  absl::StatusOr<std::vector<std::optional<domain::DriverPosition>>> Latest(
      const std::vector<std::string>& driver_ids) override {
    if (absl::Status lost = host_.Reach(outages_.store); !lost.ok()) return lost;
    return store_.Latest(driver_ids);
  }
  absl::StatusOr<std::vector<domain::DriverPosition>> Track(const storage::TrackQuery& query) override {
    if (absl::Status lost = host_.Reach(outages_.store); !lost.ok()) return lost;
    return store_.Track(query);
  }
  absl::StatusOr<storage::NewestPart> Newest(const storage::NewestQuery& query) override {
    if (absl::Status lost = host_.Reach(outages_.store); !lost.ok()) return lost;
    return store_.Newest(query);
  }
  absl::Status Ping() override { return host_.Reach(outages_.store); }

 private:
  storage::testing::FakeLocationStore& store_;
  Host& host_;
  const Outages& outages_;
};

class SimulatedHotView final : public storage::HotView {
 public:
  SimulatedHotView(storage::testing::FakeFleet& fleet, Host& host, const Outages& outages)
      : writer_(fleet), host_(host), outages_(outages) {}

  absl::StatusOr<storage::ViewState> Publish(const storage::HotUpdate& update) override {
    return Ask<storage::ViewState>([&]() -> absl::StatusOr<storage::ViewState> {
      absl::StatusOr<storage::ViewState> state = writer_.Publish(update);
      if (state.ok() && !std::exchange(connected_, true)) return storage::ViewState::kNewConnection;
      return state;
    });
  }
  absl::Status BeginRebuild() override {
    if (absl::Status lost = Reach(); !lost.ok()) return lost;
    absl::Status begun = writer_.BeginRebuild();
    if (absl::Status lost = host_.Gap(); !lost.ok()) return lost;
    return begun;
  }
  absl::StatusOr<bool> MarkWhole() override {
    return Ask<bool>([&] { return writer_.MarkWhole(); });
  }
  absl::StatusOr<std::vector<std::optional<domain::DriverPosition>>> Get(
      const std::vector<std::string>& driver_ids) override {
    return Ask<std::vector<std::optional<domain::DriverPosition>>>([&] { return writer_.Get(driver_ids); });
  }
  absl::StatusOr<storage::EventPage> Follow(const std::string& after, int limit) override {
    return Ask<storage::EventPage>([&] { return writer_.Follow(after, limit); });
  }
  absl::StatusOr<std::string> LastEventId() override {
    return Ask<std::string>([&] { return writer_.LastEventId(); });
  }
  absl::Status Ping() override { return Reach(); }

 private:
  absl::Status Reach() {
    absl::Status reached = host_.Reach(outages_.fleet);
    if (!reached.ok()) connected_ = false;
    return reached;
  }
  template <typename T, typename Call>
  absl::StatusOr<T> Ask(Call call) {
    if (absl::Status lost = Reach(); !lost.ok()) return lost;
    absl::StatusOr<T> answer = call();
    if (absl::Status lost = host_.Gap(); !lost.ok()) {
      connected_ = false;
      return lost;
    }
    return answer;
  }

  storage::testing::FakeFleet::AnotherWriter writer_;
  Host& host_;
  const Outages& outages_;
  bool connected_ = false;
};

}  // namespace waybill::simulation
