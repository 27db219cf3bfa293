#include "bench/delivery_scenario.h"

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "bench/child.h"
#include "edge/http/server.h"
#include "fmt/format.h"
#include "storage/postgres/connection.h"

namespace waybill::bench {
namespace {

constexpr int kEndpoints = 64;
constexpr int kDeliveriesASecond = kEndpoints * 80;  // of the window that was asked for; how long they take is measured
constexpr absl::Duration kDeliveriesTimeout = absl::Minutes(3);
// Of nobody but this run.
constexpr char kDeliverySecret[] = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
// As an order's is.
constexpr char kEventBody[] =
    R"({"type":"order.confirmed","timestamp":"2026-11-29T10:00:00.000Z","version":1,"data":{"order_id":"0190a0b0-0000-7000-8000-000000000001","status":"CONFIRMED","user_id":"user-1","amount_minor":1250,"currency":"EUR","driver_id":"driver-1","pickup":{"lat":52.52,"long":13.4},"dropoff":{"lat":52.5,"long":13.45}}})";

// Answers each with 204, and counts.
class EndpointsReceiver {
 public:
  static absl::StatusOr<std::unique_ptr<EndpointsReceiver>> Start(const Timer& timer) {
    std::unique_ptr<EndpointsReceiver> receiver(new EndpointsReceiver(timer));
    auto server = http::Server::Start({}, receiver->metrics_, receiver->log_);
    if (!server.ok()) return server.status();
    receiver->server_ = *std::move(server);
    receiver->server_->Serve("/", {"hook", {"POST"}}, [to = receiver.get()](http::ExchangePtr exchange) {
      to->Note(exchange->request());
      exchange->Answer({204, "", "", {}});
    });
    return receiver;
  }
  std::string url() const { return fmt::format("http://127.0.0.1:{}", server_->port()); }

  void Reset() {
    std::lock_guard lock(mutex_);
    ids_.clear();
    repeated_ = unsigned_ = 0;
  }
  int64_t received() const {
    std::lock_guard lock(mutex_);
    return static_cast<int64_t>(ids_.size());
  }
  int64_t repeated() const { return repeated_; }
  int64_t not_signed() const { return unsigned_; }
  double PerSecond() const {  // from the first to the last
    std::lock_guard lock(mutex_);
    return static_cast<double>(ids_.size() - 1) / absl::ToDoubleSeconds(last_ - first_);
  }

 private:
  explicit EndpointsReceiver(const Timer& timer) : timer_(timer), log_(LogFormat::kText, LogLevel::kWarn, clock_) {}

  void Note(const http::Request& request) {
    const absl::Duration now = timer_.Now();
    if (request.Field("webhook-signature").empty() || request.body != kEventBody) ++unsigned_;
    std::lock_guard lock(mutex_);
    if (ids_.empty()) first_ = now;
    last_ = now;
    if (!ids_.insert(fmt::format("{} {}", request.path, request.Field("webhook-id"))).second) ++repeated_;
  }

  const Timer& timer_;
  SystemClock clock_;
  Logger log_;
  Metrics metrics_;
  mutable std::mutex mutex_;
  std::unordered_set<std::string> ids_;
  std::atomic<int64_t> repeated_ = 0, unsigned_ = 0;
  absl::Duration first_, last_;
  std::unique_ptr<http::Server> server_;  // last: it calls all of these
};

absl::Status AwaitAll(const EndpointsReceiver& receiver, int64_t deliveries, const Timer& timer) {
  const absl::Duration give_up = timer.Now() + kDeliveriesTimeout;
  while (receiver.received() < deliveries) {
    if (timer.Now() > give_up) {
      return absl::DeadlineExceededError(fmt::format("{} of {} deliveries came", receiver.received(), deliveries));
    }
    absl::SleepFor(absl::Milliseconds(5));
  }
  return absl::OkStatus();
}

void ExpectEachOnce(const EndpointsReceiver& receiver, std::string_view who, ScenarioResult& result) {
  if (receiver.repeated() > 0) {
    result.failures.push_back(fmt::format("{} deliveries of {} came more than once", receiver.repeated(), who));
  }
  if (receiver.not_signed() > 0) {
    result.failures.push_back(fmt::format("{} deliveries of {} are not whole", receiver.not_signed(), who));
  }
}

// Endpoints, and what is due to them, all at once.
absl::Status AddDeliveries(storage::Connection& connection, const std::string& url, int64_t deliveries) {
  auto endpoints = connection.Execute(
      "INSERT INTO webhook_endpoints (endpoint_id, client, url, types, secret, created_at) "
      "SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'bench', $1::text || '/hook/' || n, '{*}', "
      "$2::text, now() FROM generate_series(1, $3::integer) AS n",
      {storage::Param::Text(url), storage::Param::Text(kDeliverySecret), storage::Param::Int4(kEndpoints)});
  if (!endpoints.ok()) return endpoints.status();
  return connection
      .Execute(
          "INSERT INTO webhook_deliveries (endpoint_id, event_id, type, body, created_at, next_at) "
          "SELECT ('00000000-0000-7000-8000-' || lpad((1 + n % $2::integer)::text, 12, '0'))::uuid, 'evt_' || n, "
          "'order.confirmed', $3::text, now(), now() FROM generate_series(1, $1::bigint) AS n",
          {storage::Param::Int8(deliveries), storage::Param::Int4(kEndpoints), storage::Param::Text(kEventBody)})
      .status();
}

}  // namespace

absl::StatusOr<ScenarioResult> Deliveries(OrderStage& stage) {
  ScenarioResult result;
  auto receiver = EndpointsReceiver::Start(stage.timer());
  if (!receiver.ok()) return receiver.status();
  const auto deliveries =
      static_cast<int64_t>(kDeliveriesASecond * std::max(absl::ToDoubleSeconds(stage.options().duration), 0.5));
  const std::filesystem::path curl = stage.options().binaries / "curl_loop";
  double ours = 0, one = 0, many = 0;
  Memory memory;
  const auto post = [&](int connections) -> absl::StatusOr<double> {
    (*receiver)->Reset();
    auto loop = Child::Start(curl,
                             {(*receiver)->url(), fmt::format("{}", kEndpoints), fmt::format("{}", deliveries),
                              fmt::format("{}", connections), kDeliverySecret, kEventBody},
                             stage.options().folder / "deliveries.curl_loop.log");
    if (!loop.ok()) return loop.status();
    if (absl::Status ended = (*loop)->Join(kDeliveriesTimeout); !ended.ok()) return ended;
    if (absl::Status all = AwaitAll(**receiver, deliveries, stage.timer()); !all.ok()) return all;
    ExpectEachOnce(**receiver, "libcurl", result);
    stage.Tell(fmt::format("deliveries: libcurl over {}: {:.0f}/s", connections, (*receiver)->PerSecond()));
    return (*receiver)->PerSecond();
  };
  for (int round = 1; round <= stage.options().rounds; ++round) {
    for (const auto& [connections, sum] : {std::pair(1, &one), std::pair(kEndpoints, &many)}) {
      auto rate = post(connections);
      if (!rate.ok()) return rate.status();
      *sum += *rate / stage.options().rounds;
    }
    (*receiver)->Reset();
    auto set = stage.MakeSet("deliveries", {.order_args = {"--webhook-allow-networks", "127.0.0.0/8"}});
    if (!set.ok()) return set.status();
    auto connection = storage::Connection::Open(set->database->url(), {});
    if (!connection.ok()) return connection.status();
    if (absl::Status added = AddDeliveries(**connection, (*receiver)->url(), deliveries); !added.ok()) return added;
    if (absl::Status all = AwaitAll(**receiver, deliveries, stage.timer()); !all.ok()) return all;
    ExpectEachOnce(**receiver, "waybill-order", result);
    stage.Tell(fmt::format("deliveries: waybill-order: {:.0f}/s", (*receiver)->PerSecond()));
    ours += (*receiver)->PerSecond() / stage.options().rounds;
    auto resident = stage.ResidentMemory(set->order.process->pid());
    if (!resident.ok()) return resident.status();
    memory = Larger(memory, *resident);
    if (absl::Status closed = stage.CloseBooks(*set, 0, nullptr, result); !closed.ok()) return closed;
    auto left = (*connection)->Execute("SELECT count(*) FROM webhook_deliveries WHERE state <> 'delivered'");
    if (!left.ok()) return left.status();
    if (left->Int(0, 0) != 0) {
      result.failures.push_back(fmt::format("{} deliveries came and are not written down", left->Int(0, 0)));
    }
  }
  AddBeside("deliveries/s", {"a loop of libcurl", one}, {"waybill-order", ours}, "1/s", AtLeast(0.8), result);
  result.figures.push_back({"deliveries/s, libcurl over 64 connections", many, "1/s", std::nullopt});
  result.figures.push_back(
      {"resident memory, peak", static_cast<double>(memory.resident_bytes_peak) / kMega, "MB", AtMost(200)});
  return result;
}

}  // namespace waybill::bench
