#include "services/sandbox/webhook_sender.h"

#include <chrono>
#include <utility>
#include <vector>

#include "boost/asio/io_context.hpp"
#include "boost/asio/ip/tcp.hpp"
#include "boost/beast/core/flat_buffer.hpp"
#include "boost/beast/core/tcp_stream.hpp"
#include "boost/beast/http/read.hpp"
#include "boost/beast/http/string_body.hpp"
#include "boost/beast/http/write.hpp"
#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "payments/webhooks/signature.h"

namespace waybill::sandbox {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace beast_http = boost::beast::http;

constexpr absl::Duration kPostTimeout = absl::Seconds(5);
constexpr int kSendsMax = 10;  // over some four minutes

}  // namespace

absl::StatusOr<HttpTarget> ParseHttpTarget(const std::string& url) {
  constexpr std::string_view kHttp = "http://";
  const size_t slash = url.find('/', kHttp.size());
  if (!url.starts_with(kHttp) || slash == std::string::npos) {
    return absl::InvalidArgumentError("is not http://HOST:PORT/PATH");
  }
  const std::string authority = url.substr(kHttp.size(), slash - kHttp.size());
  const size_t colon = authority.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == authority.size()) {
    return absl::InvalidArgumentError("is not http://HOST:PORT/PATH");
  }
  return HttpTarget{authority.substr(0, colon), authority.substr(colon + 1), url.substr(slash)};
}

absl::StatusOr<int> Post(const HttpTarget& target, const std::vector<std::pair<std::string, std::string>>& fields,
                         const std::string& body, absl::Duration timeout) {
  asio::io_context io;
  boost::system::error_code error;
  const auto found = asio::ip::tcp::resolver(io).resolve(target.host, target.port, error);
  if (error) return absl::UnavailableError(error.message());
  beast::tcp_stream stream(io);
  beast_http::request<beast_http::string_body> request(beast_http::verb::post, target.path, 11);
  request.set(beast_http::field::host, fmt::format("{}:{}", target.host, target.port));
  request.set(beast_http::field::content_type, "application/json");
  for (const auto& [name, value] : fields) request.set(name, value);
  request.body() = body;
  request.prepare_payload();
  beast::flat_buffer buffer;
  beast_http::response<beast_http::string_body> response;
  absl::Status outcome = absl::DeadlineExceededError("no answer in time");
  const auto failed = [&](const boost::system::error_code& why) {
    if (why) outcome = absl::UnavailableError(why.message());
    return static_cast<bool>(why);
  };
  stream.async_connect(found, [&](boost::system::error_code why, const asio::ip::tcp::endpoint&) {
    if (failed(why)) return;
    beast_http::async_write(stream, request, [&](boost::system::error_code wrote, size_t) {
      if (failed(wrote)) return;
      beast_http::async_read(stream, buffer, response, [&](boost::system::error_code read, size_t) {
        if (!failed(read)) outcome = absl::OkStatus();
      });
    });
  });
  io.run_for(absl::ToChronoNanoseconds(timeout));
  stream.close();
  io.restart();
  io.poll();  // what was under way ends, and refers to what is here
  if (!outcome.ok()) return absl::UnavailableError(std::string(outcome.message()));
  return static_cast<int>(response.result_int());
}

void WebhookSender::Tell(const Decision& decision, const Behaviour& behaviour) {
  bool lost, twice, late, wrong;
  {
    std::lock_guard lock(mutex_);
    auto hits = [&](double share) { return share > 0 && random_.Uniform() < share; };
    lost = hits(behaviour.webhook_lost_rate);
    twice = hits(behaviour.webhook_twice_rate);
    late = hits(behaviour.webhook_late_rate);
    wrong = hits(behaviour.webhook_wrong_amount_rate);
  }
  if (lost) return;
  const nlohmann::json body = {{"type", decision.approved ? "payment.succeeded" : "payment.failed"},
                               {"data",
                                {{"idempotency_key", decision.key},
                                 {"token", decision.token},
                                 {"amount_minor", decision.amount_minor + (wrong ? 1 : 0)},
                                 {"currency", decision.currency}}}};
  const absl::Duration delay = late ? absl::Milliseconds(behaviour.late_ms) : absl::ZeroDuration();
  for (int i = 0; i < (twice ? 2 : 1); ++i) SendIn(delay, "evt_" + decision.token, body.dump(), 1);
}

void WebhookSender::SendIn(absl::Duration delay, std::string id, std::string body, int attempt) {
  Executor::Task task = [weak = weak_from_this(), id = std::move(id), body = std::move(body), attempt] {
    if (auto sender = weak.lock()) sender->Send(id, body, attempt);
  };
  if (delay <= absl::ZeroDuration()) {
    (void)workers_.Submit(task);  // refused: too many, or it ends; the webhook is lost
    return;
  }
  auto kept = std::make_shared<Executor::Task>(std::move(task));
  scheduler_.At(clock_.Steady() + delay, [weak = weak_from_this(), kept] {
    if (auto sender = weak.lock()) (void)sender->workers_.Submit(*kept);
  });
}

void WebhookSender::Send(const std::string& id, const std::string& body, int attempt) {
  const int64_t now = absl::ToUnixSeconds(clock_.Now());
  const absl::StatusOr<int> code = Post(target_,
                                        {{"webhook-id", id},
                                         {"webhook-timestamp", fmt::format("{}", now)},
                                         {"webhook-signature", payments::SignStandard(secret_, id, now, body)}},
                                        body, kPostTimeout);
  if (code.ok() && *code / 100 == 2) return;
  log_.Warn("a webhook was not taken",
            {{"id", id}, {"attempt", attempt}, {"answer", code.ok() ? fmt::format("{}", *code) : "none"}});
  if (attempt < kSendsMax) SendIn(absl::Milliseconds(250) * (1 << attempt), id, body, attempt + 1);
}

}  // namespace waybill::sandbox
