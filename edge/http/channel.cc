#include "edge/http/channel.h"

#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <deque>
#include <list>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "boost/asio/connect.hpp"
#include "boost/asio/executor_work_guard.hpp"
#include "boost/asio/post.hpp"
#include "boost/asio/ssl/host_name_verification.hpp"
#include "boost/asio/steady_timer.hpp"
#include "boost/beast/core.hpp"
#include "boost/beast/http.hpp"
#include "boost/beast/ssl.hpp"

namespace waybill::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;
using boost::system::error_code;

constexpr uint32_t kHeadBytesMax = 16 << 10;

}  // namespace

// All but Call and Stop is on the thread.
class Channel::Engine {
 public:
  explicit Engine(ChannelOptions options)
      : options_(std::move(options)), work_(asio::make_work_guard(io_)), thread_([this] { io_.run(); }) {}
  ~Engine() { Stop(); }

  void Call(ClientRequest request, absl::Duration timeout, Done done) {
    auto call = std::make_shared<Pending>(io_);
    request.host = options_.host;
    request.port = options_.port;
    call->request = MakeRequest(std::move(request), /*keep_alive=*/true);
    call->done = std::move(done);
    call->timer.expires_after(absl::ToChronoNanoseconds(timeout));
    {
      std::lock_guard lock(mutex_);
      if (!stopped_) {
        asio::post(io_, [this, call] { Begin(call); });
        return;
      }
    }
    End(*call, absl::UnavailableError("the process is stopping"));
  }

  void Stop() {
    {
      std::lock_guard lock(mutex_);
      if (std::exchange(stopped_, true)) return;
      asio::post(io_, [this] { EndAll(); });  // behind every Begin
    }
    work_.reset();
    thread_.join();
  }

 private:
  struct Link;
  struct Pending {
    explicit Pending(asio::io_context& io) : timer(io) {}
    beast::http::request<beast::http::string_body> request;
    Done done;  // null once it has ended
    asio::steady_timer timer;
    bool sent = false;
    std::weak_ptr<Link> link;
  };
  using PendingPtr = std::shared_ptr<Pending>;

  // A connection; what it has begun holds it.
  struct Link {
    explicit Link(asio::io_context& io) : plain(io) {}
    tcp::socket plain;
    std::unique_ptr<asio::ssl::context> context;
    std::optional<asio::ssl::stream<tcp::socket&>> tls;
    std::unique_ptr<Lookup> lookup;
    beast::flat_buffer buffer;
    std::optional<beast::http::response_parser<beast::http::string_body>> response;
    std::chrono::steady_clock::time_point idle_since;
    bool closed = false;
  };
  using LinkPtr = std::shared_ptr<Link>;

  void Begin(const PendingPtr& call) {
    if (calls_ >= options_.calls_max) return End(*call, absl::ResourceExhaustedError("too many calls are under way"));
    ++calls_;
    counted_.push_back(call);
    call->timer.async_wait([this, call](error_code ended) {
      if (!ended) Finish(call, absl::DeadlineExceededError("no answer in time"));
    });
    waiting_.push_back(call);
    Pump();
  }

  void Pump() {
    while (!waiting_.empty()) {
      if (!waiting_.front()->done) {
        waiting_.pop_front();
        continue;
      }
      LinkPtr link = TakeIdle();
      if (!link && links_.size() >= options_.connections_max) return;
      const PendingPtr call = std::move(waiting_.front());
      waiting_.pop_front();
      if (link) {
        call->link = link;
        Send(call, link);
      } else {
        Connect(call);
      }
    }
  }

  LinkPtr TakeIdle() {
    const auto now = std::chrono::steady_clock::now();
    while (!idle_.empty()) {
      LinkPtr link = std::move(idle_.back());
      idle_.pop_back();
      const bool quiet = IsQuiet(link->plain.native_handle(), link->tls ? link->tls->native_handle() : nullptr);
      if (quiet && absl::FromChrono(now - link->idle_since) <= options_.idle_max) return link;
      Close(link);
    }
    return nullptr;
  }

  void Connect(const PendingPtr& call) {
    auto link = std::make_shared<Link>(io_);
    links_.push_back(link);
    call->link = link;
    link->lookup = std::make_unique<Lookup>(io_, options_.host, options_.port);
    link->lookup->Start(absl::Seconds(30), [this, call, link](absl::StatusOr<Addresses> found) {
      if (link->closed) return;
      // Also of a name that is not there: what the server knows of is another matter.
      if (!found.ok()) return Lose(call, link, absl::UnavailableError(std::string(found.status().message())));
      asio::async_connect(link->plain, *found, [this, call, link](error_code error, const tcp::endpoint&) {
        if (link->closed) return;
        if (error) return Lose(call, link, absl::UnavailableError(error.message()));
        error_code ignored;
        link->plain.set_option(tcp::no_delay(true), ignored);
        if (!options_.ca) return Send(call, link);
        link->context = MakeClientTls(options_.ca());
        link->tls.emplace(link->plain, *link->context);
        link->tls->set_verify_callback(asio::ssl::host_name_verification(options_.host));
        error_code no_address;
        (void)asio::ip::make_address(options_.host, no_address);
        if (no_address) SSL_set_tlsext_host_name(link->tls->native_handle(), options_.host.c_str());
        link->tls->async_handshake(asio::ssl::stream_base::client, [this, call, link](error_code failed) {
          if (link->closed) return;
          failed ? Lose(call, link, absl::UnavailableError(failed.message())) : Send(call, link);
        });
      });
    });
  }

  void Send(const PendingPtr& call, const LinkPtr& link) {
    link->tls ? Talk(*link->tls, call, link) : Talk(link->plain, call, link);
  }

  template <typename Stream>
  void Talk(Stream& stream, const PendingPtr& call, const LinkPtr& link) {
    call->sent = true;
    beast::http::async_write(stream, call->request, [this, &stream, call, link](error_code error, size_t) {
      if (link->closed) return;
      if (error) return Lose(call, link, absl::UnavailableError(error.message()));
      Read(stream, call, link);
    });
  }

  template <typename Stream>
  void Read(Stream& stream, const PendingPtr& call, const LinkPtr& link) {
    link->response.emplace();
    link->response->body_limit(options_.answer_bytes_max);
    link->response->header_limit(kHeadBytesMax);
    beast::http::async_read(stream, link->buffer, *link->response,
                            [this, &stream, call, link](error_code failed, size_t) {
                              if (link->closed) return;
                              if (failed) return Lose(call, link, absl::UnavailableError(failed.message()));
                              // An interim answer: the one that counts comes behind it.
                              if (link->response->get().result_int() < 200) return Read(stream, call, link);
                              Answered(call, link);
                            });
  }

  void Answered(const PendingPtr& call, const LinkPtr& link) {
    auto& response = link->response->get();
    ClientAnswer answer;
    answer.status = response.result_int();
    answer.body = std::move(response.body());
    const auto wait = response[beast::http::field::retry_after];
    answer.retry_after = std::string(wait.data(), wait.size());
    if (link->response->keep_alive() && link->buffer.size() == 0) {
      link->idle_since = std::chrono::steady_clock::now();
      idle_.push_back(link);
    } else {
      Close(link);
    }
    call->link.reset();
    Finish(call, std::move(answer));
  }

  void Lose(const PendingPtr& call, const LinkPtr& link, absl::Status why) {
    Close(link);
    Finish(call, std::move(why));
  }

  void Close(const LinkPtr& link) {
    if (std::exchange(link->closed, true)) return;
    error_code ignored;
    link->plain.close(ignored);
    // Not here: it may be the lookup that says so.
    asio::post(io_, [link] { link->lookup.reset(); });
    links_.remove(link);
  }

  // And whoever waits goes on.
  void Finish(const PendingPtr& call, absl::StatusOr<ClientAnswer> answer) {
    if (!call->done) return;
    call->timer.cancel();
    if (const LinkPtr link = call->link.lock()) Close(link);  // its answer would be taken for the next one's
    --calls_;
    counted_.remove(call);
    End(*call, std::move(answer));
    Pump();
  }

  static void End(Pending& call, absl::StatusOr<ClientAnswer> answer) {
    std::exchange(call.done, nullptr)({std::move(answer), call.sent});
  }

  void EndAll() {
    waiting_.clear();
    while (!counted_.empty()) {
      const PendingPtr call = counted_.front();
      Finish(call, absl::UnavailableError("the process is stopping"));
    }
    while (!idle_.empty()) {
      Close(idle_.back());
      idle_.pop_back();
    }
  }

  const ChannelOptions options_;
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::deque<PendingPtr> waiting_;  // those that have ended, too, until their turn
  std::list<PendingPtr> counted_;   // that have not ended
  std::list<LinkPtr> links_;
  std::deque<LinkPtr> idle_;
  size_t calls_ = 0;
  std::mutex mutex_;
  bool stopped_ = false;
  std::thread thread_;  // last: it uses all of these
};

Channel::Channel(ChannelOptions options) : engine_(std::make_unique<Engine>(std::move(options))) {}
Channel::~Channel() = default;

void Channel::Call(ClientRequest request, absl::Duration timeout, Done done) {
  engine_->Call(std::move(request), timeout, std::move(done));
}
void Channel::Stop() { engine_->Stop(); }

}  // namespace waybill::http
