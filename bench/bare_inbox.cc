#include "bench/bare_inbox.h"

#include <utility>

#include "fmt/format.h"
#include "storage/postgres/params.h"

namespace waybill::bench {
namespace {

constexpr char kTable[] =
    "CREATE TABLE inbox (event_id text PRIMARY KEY, received_at timestamptz NOT NULL DEFAULT now(), "
    "body bytea NOT NULL)";
constexpr char kInsert[] = "INSERT INTO inbox (event_id, body) VALUES ($1, $2) ON CONFLICT DO NOTHING";
constexpr size_t kQueueMax = 100'000;

}  // namespace

absl::StatusOr<std::unique_ptr<BareInbox>> BareInbox::Start(const std::string& database_url, int connections) {
  std::vector<std::unique_ptr<storage::Connection>> opened;
  for (int i = 0; i < connections; ++i) {
    auto connection = storage::Connection::Open(database_url, {});
    if (!connection.ok()) return connection.status();
    opened.push_back(*std::move(connection));
  }
  if (auto made = opened.front()->Execute(kTable); !made.ok()) return made.status();
  std::unique_ptr<BareInbox> inbox(new BareInbox(std::move(opened)));
  auto server = http::Server::Start({}, inbox->metrics_, inbox->log_);
  if (!server.ok()) return server.status();
  inbox->server_ = *std::move(server);
  inbox->server_->Serve("/", {"inbox", {"POST"}},
                        [bare = inbox.get()](http::ExchangePtr exchange) { bare->Keep(std::move(exchange)); });
  return inbox;
}

BareInbox::BareInbox(std::vector<std::unique_ptr<storage::Connection>> connections)
    : log_(LogFormat::kText, LogLevel::kWarn, clock_),
      idle_(std::move(connections)),
      workers_(idle_.size(), kQueueMax) {}

BareInbox::~BareInbox() { workers_.Stop(); }

std::string BareInbox::target() const { return fmt::format("127.0.0.1:{}", server_->port()); }

void BareInbox::Keep(http::ExchangePtr exchange) {
  Executor::Task task = [this, exchange] {
    std::unique_ptr<storage::Connection> connection;
    {
      std::lock_guard lock(mutex_);
      connection = std::move(idle_.back());  // there are as many as threads
      idle_.pop_back();
    }
    const http::Request& request = exchange->request();
    auto kept = connection->Execute(
        kInsert, {storage::Param::Text(request.Field("webhook-id")), storage::Param::Bytes(request.body)});
    {
      std::lock_guard lock(mutex_);
      idle_.push_back(std::move(connection));
    }
    http::Response response;
    response.code = kept.ok() ? 200 : 503;
    exchange->Answer(std::move(response));
  };
  if (workers_.Submit(task)) return;
  http::Response refused;
  refused.code = 503;
  exchange->Answer(std::move(refused));
}

}  // namespace waybill::bench
