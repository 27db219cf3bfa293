#include "tests/e2e/fleet_client.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "fmt/format.h"
#include "tests/support/eventually.h"

namespace waybill::testing {
namespace {

namespace pb = location::v1;

bool IsDefinite(const grpc::Status& status) {
  switch (status.error_code()) {
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::CANCELLED:
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return false;
    default:
      return true;
  }
}

}  // namespace

// --- FleetClient

FleetClient::FleetClient(const IngestReplica& replica, Source source, size_t window)
    : port_(replica.port()), source_(std::move(source)), window_(window) {
  thread_ = std::thread([this] { Run(); });
}

FleetClient::~FleetClient() {
  if (thread_.joinable()) Finish(absl::ZeroDuration());
}

void FleetClient::Run() {
  constexpr absl::Duration kPause = absl::Milliseconds(20);  // a client that hammers helps nobody
  while (!giving_up_ && RunStream()) {
    ++reconnects_;
    absl::SleepFor(kPause);
  }
  std::lock_guard lock(mutex_);
  ended_ = true;
  changed_.notify_all();
}

bool FleetClient::RunStream() {
  grpc::ClientContext context;
  std::vector<pb::LocationBatch> again;
  {
    std::lock_guard lock(mutex_);
    context_ = &context;
    broken_ = false;
    again.assign(unacked_.begin(), unacked_.end());
  }
  // A new connection each time: one that failed is not tried again for seconds.
  const auto stub = pb::LocationService::NewStub(ConnectTo(port_));
  std::unique_ptr<Stream> stream = stub->StreamLocations(&context);
  std::thread reader([this, &stream] { Read(*stream); });
  bool open = std::all_of(again.begin(), again.end(),
                          [&stream](const pb::LocationBatch& batch) { return stream->Write(batch); });
  while (open) {
    pb::LocationBatch batch;
    {
      std::unique_lock lock(mutex_);
      if (stopping_) source_ended_ = true;
      changed_.wait(lock, [this] {
        return broken_ || giving_up_ || (source_ended_ ? unacked_.empty() : unacked_.size() < window_);
      });
      if (broken_ || giving_up_) break;
      if (source_ended_) {
        stream->WritesDone();
        break;
      }
    }
    if (!source_(batch)) {
      std::lock_guard lock(mutex_);
      source_ended_ = true;
      continue;
    }
    {
      std::lock_guard lock(mutex_);
      batch.set_sequence(++last_sequence_);
      unacked_.push_back(batch);
    }
    open = stream->Write(batch);
  }
  reader.join();
  const grpc::Status status = stream->Finish();
  std::lock_guard lock(mutex_);
  context_ = nullptr;
  if (status.ok() && source_ended_ && unacked_.empty()) return false;
  if (status.ok() || IsDefinite(status)) {
    complaints_.push_back(fmt::format("a stream ended with {} {}, {} batches not acked",
                                      static_cast<int>(status.error_code()), status.error_message(), unacked_.size()));
    return false;
  }
  return true;
}

void FleetClient::Read(Stream& stream) {
  pb::LocationAck ack;
  while (stream.Read(&ack)) Take(ack);
  std::lock_guard lock(mutex_);
  broken_ = true;
  changed_.notify_all();
}

void FleetClient::Take(const pb::LocationAck& ack) {
  std::lock_guard lock(mutex_);
  std::map<int64_t, std::vector<int>> bad;
  for (const pb::RejectedPoint& rejected : ack.rejected()) {
    bad[rejected.sequence()].push_back(rejected.index());
    rejected_.push_back(rejected);
  }
  if (unacked_.empty() || ack.durable_sequence() < unacked_.front().sequence() ||
      ack.durable_sequence() > unacked_.back().sequence()) {
    complaints_.push_back(fmt::format("an ack of {}, which nobody waits for", ack.durable_sequence()));
  }
  while (!unacked_.empty() && unacked_.front().sequence() <= ack.durable_sequence()) {
    pb::LocationBatch& batch = unacked_.front();
    const std::vector<int>& wrong = bad[batch.sequence()];
    for (int i = 0; i < batch.points_size(); ++i) {
      if (std::find(wrong.begin(), wrong.end(), i) == wrong.end()) acked_points_.push_back(batch.points(i));
    }
    acked_ += batch.points_size();
    unacked_.pop_front();
  }
  changed_.notify_all();
}

bool FleetClient::Finish(absl::Duration timeout) {
  stopping_ = true;
  {
    std::lock_guard lock(mutex_);
    source_ended_ = true;
    changed_.notify_all();
  }
  return WaitForEnd(timeout);
}

bool FleetClient::Drain(absl::Duration timeout) { return WaitForEnd(timeout); }

bool FleetClient::WaitForEnd(absl::Duration timeout) {
  bool all;
  {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, absl::ToChronoNanoseconds(timeout), [this] { return ended_; });
    all = ended_ && unacked_.empty();
    if (!ended_) {
      giving_up_ = true;
      if (context_ != nullptr) context_->TryCancel();
    }
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
  return all;
}

int64_t FleetClient::refused() const {
  std::lock_guard lock(mutex_);
  return static_cast<int64_t>(rejected_.size());
}

std::vector<pb::Point> FleetClient::AckedPoints() const {
  std::lock_guard lock(mutex_);
  return acked_points_;
}

std::vector<pb::RejectedPoint> FleetClient::Rejected() const {
  std::lock_guard lock(mutex_);
  return rejected_;
}

std::vector<std::string> FleetClient::complaints() const {
  std::lock_guard lock(mutex_);
  return complaints_;
}

// --- FleetLoad

FleetLoad::FleetLoad(const IngestReplica& replica, FleetLoadOptions options)
    : options_(std::move(options)), start_(absl::Now() - absl::Seconds(1)) {
  for (int client = 0; client < options_.clients; ++client) {
    clients_.push_back(std::make_unique<FleetClient>(
        replica, [this, client, n = int64_t{0}](pb::LocationBatch& batch) mutable { return Next(client, n++, batch); },
        options_.window));
  }
}

bool FleetLoad::Next(int client, int64_t n, pb::LocationBatch& batch) const {
  absl::SleepFor(options_.pause);
  absl::Time start = start_;
  if (!options_.late_days.empty() && n % 50 == 10) {
    start -= absl::Hours(24 * options_.late_days[static_cast<size_t>(n / 50) % options_.late_days.size()]);
  }
  for (int i = 0; i < options_.batch; ++i) {
    const int64_t step = n * options_.batch + i;
    const double along = static_cast<double>(step) * 1e-6;
    *batch.add_points() = PointOf(fmt::format("driver-{}-{}", client, step % options_.drivers),
                                  {52.5 + along, 13.4 + 0.01 * client - along},
                                  start + step / options_.drivers * absl::Microseconds(500));
  }
  return true;
}

int64_t FleetLoad::acked() const {
  int64_t acked = 0;
  for (const auto& client : clients_) acked += client->acked();
  return acked;
}

int64_t FleetLoad::reconnects() const {
  int64_t reconnects = 0;
  for (const auto& client : clients_) reconnects += client->reconnects();
  return reconnects;
}

bool FleetLoad::Finish(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  bool all = true;
  for (const auto& client : clients_) {
    all = client->Finish(std::max(deadline - absl::Now(), absl::ZeroDuration())) && all;
  }
  return all;
}

std::map<PointKey, domain::GeoPoint> FleetLoad::Acked() const {
  std::map<PointKey, domain::GeoPoint> acked;
  for (const auto& client : clients_) {
    for (const pb::Point& point : client->AckedPoints()) acked[KeyOf(point)] = {point.latitude(), point.longitude()};
  }
  return acked;
}

std::map<std::string, int64_t> FleetLoad::NewestTimes() const {
  std::map<std::string, int64_t> newest;
  for (const auto& [key, where] : Acked()) newest[key.first] = std::max(newest[key.first], key.second);
  return newest;
}

std::vector<std::string> FleetLoad::DriverIds() const {
  std::vector<std::string> ids;
  for (int client = 0; client < options_.clients; ++client) {
    for (int driver = 0; driver < options_.drivers; ++driver)
      ids.push_back(fmt::format("driver-{}-{}", client, driver));
  }
  return ids;
}

std::vector<std::string> FleetLoad::WrongIn(IngestStack& stack, bool look_at_hot_view) const {
  std::vector<std::string> wrong;
  for (const auto& client : clients_) {
    for (const std::string& complaint : client->complaints()) wrong.push_back(complaint);
    if (const int64_t refused = client->refused(); refused > 0) wrong.push_back(fmt::format("{} rejected", refused));
  }
  const std::map<PointKey, domain::GeoPoint> acked = Acked(), stored = stack.Stored();
  if (acked.empty()) wrong.push_back("nothing was acked");
  int64_t lost = 0, changed = 0;
  for (const auto& [key, where] : acked) {
    auto found = stored.find(key);
    if (found == stored.end()) {
      ++lost;
    } else if (found->second != where) {
      ++changed;
    }
  }
  if (lost > 0) wrong.push_back(fmt::format("{} of {} acked points are not stored", lost, acked.size()));
  if (changed > 0) wrong.push_back(fmt::format("{} points are stored otherwise than they were sent", changed));
  const int64_t count = stack.StoredCount();
  if (count != static_cast<int64_t>(acked.size())) {
    wrong.push_back(fmt::format("{} points are stored, {} were sent and acked", count, acked.size()));
  }
  if (!look_at_hot_view) return wrong;
  const std::map<std::string, int64_t> newest = NewestTimes();
  std::map<std::string, int64_t> hot;
  const bool right = Eventually(absl::Seconds(20), [&] {
    hot = stack.HotTimes(DriverIds());
    return hot == newest;
  });
  if (!right) {
    for (const auto& [driver, time] : newest) {
      if (hot[driver] != time)
        wrong.push_back(fmt::format("{} is at {} in the hot view, not {}", driver, hot[driver], time));
    }
    if (wrong.empty()) wrong.push_back("the hot view has drivers nobody sent");
  }
  return wrong;
}

}  // namespace waybill::testing
