#include "edge/http/lookup.h"

#include <ares.h>
#include <netdb.h>
#include <sys/time.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "boost/asio/posix/stream_descriptor.hpp"
#include "boost/asio/post.hpp"
#include "boost/asio/steady_timer.hpp"
#include "fmt/format.h"

namespace waybill::http {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// Counted, and without a lock: once for all of the process, and never given back.
int InitLibrary() {
  static const int status = ares_library_init(ARES_LIB_INIT_ALL);
  return status;
}

absl::Status ErrorOf(int status) {
  const std::string text = ares_strerror(status);
  switch (status) {
    case ARES_ENODATA:
    case ARES_ENOTFOUND:
    case ARES_EBADNAME:
      return absl::NotFoundError(text);
    default:
      return absl::UnavailableError(text);
  }
}

}  // namespace

class Lookup::Run : public std::enable_shared_from_this<Run> {
 public:
  Run(asio::io_context& io, std::string host, int port, std::string servers)
      : io_(io), timer_(io), host_(std::move(host)), port_(static_cast<uint16_t>(port)), servers_(std::move(servers)) {}

  void Start(absl::Duration timeout, Done done) {
    done_ = std::move(done);
    deadline_ = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(timeout);
    error_code no_address;
    const asio::ip::address address = asio::ip::make_address(host_, no_address);
    if (!no_address) return Finish(Addresses{{address, port_}});
    // c-ares takes 0177.0.0.1 for 177.0.0.1, others for 127.0.0.1.
    if (host_.find_first_not_of("0123456789.") == std::string::npos) {
      return Finish(absl::NotFoundError("neither an address nor a name"));
    }
    if (const int status = Open(); status != ARES_SUCCESS) return Finish(ErrorOf(status));
    ares_addrinfo_hints hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    ares_getaddrinfo(channel_, host_.c_str(), /*service=*/nullptr, &hints, &Run::Found, this);
    Await();
  }

  // What c-ares still has under way is told ARES_EDESTRUCTION, and goes nowhere.
  void Abandon() {
    over_ = true;
    done_ = nullptr;
    Close();
  }

 private:
  int Open() {
    if (const int status = InitLibrary(); status != ARES_SUCCESS) return status;
    ares_options options{};
    options.sock_state_cb = &Run::Watch;
    options.sock_state_cb_data = this;
    if (const int status = ares_init_options(&channel_, &options, ARES_OPT_SOCK_STATE_CB); status != ARES_SUCCESS) {
      channel_ = nullptr;
      return status;
    }
    return servers_.empty() ? ARES_SUCCESS : ares_set_servers_ports_csv(channel_, servers_.c_str());
  }

  void Close() {
    timer_.cancel();
    if (channel_ == nullptr) return;
    ares_destroy(std::exchange(channel_, nullptr));  // closes the sockets, each of them told to Watch first
  }

  // c-ares opens and closes its sockets itself: here they are waited for only.
  static void Watch(void* self, ares_socket_t socket, int readable, int writable) {
    Run& run = *static_cast<Run*>(self);
    if (readable == 0 && writable == 0) {
      const auto found = run.sockets_.find(socket);
      if (found == run.sockets_.end()) return;
      found->second.descriptor.release();
      run.sockets_.erase(found);
      return;
    }
    Socket& of = run.sockets_.try_emplace(socket, run.io_, socket).first->second;
    of.readable = readable != 0;
    of.writable = writable != 0;
    run.Await(socket, of);
  }

  struct Socket {
    Socket(asio::io_context& io, ares_socket_t socket) : descriptor(io, socket) {}

    asio::posix::stream_descriptor descriptor;
    bool readable = false, writable = false;         // what c-ares waits for
    bool awaits_read = false, awaits_write = false;  // what Asio waits for
  };

  void Await(ares_socket_t socket, Socket& of) {
    using Descriptor = asio::posix::stream_descriptor;
    const auto await = [&](bool wanted, bool Socket::*awaits, Descriptor::wait_type what) {
      if (!wanted || of.*awaits) return;
      of.*awaits = true;
      of.descriptor.async_wait(what, [self = shared_from_this(), socket, awaits, what](error_code failed) {
        self->Ready(socket, awaits, what == Descriptor::wait_write, failed);
      });
    };
    await(of.readable, &Socket::awaits_read, Descriptor::wait_read);
    await(of.writable, &Socket::awaits_write, Descriptor::wait_write);
  }

  void Ready(ares_socket_t socket, bool Socket::*awaits, bool write, error_code failed) {
    if (over_ || failed == asio::error::operation_aborted) return;  // it is closed, or nobody asks any more
    if (const auto found = sockets_.find(socket); found != sockets_.end()) found->second.*awaits = false;
    ares_process_fd(channel_, write ? ARES_SOCKET_BAD : socket, write ? socket : ARES_SOCKET_BAD);
    if (over_) return;
    if (const auto found = sockets_.find(socket); found != sockets_.end()) Await(socket, found->second);
    Await();
  }

  // Until it is time to ask again, or too late.
  void Await() {
    if (over_) return;
    timeval most =
        absl::ToTimeval(std::max(absl::FromChrono(deadline_ - std::chrono::steady_clock::now()), absl::ZeroDuration()));
    timeval wait{};
    const timeval* next = ares_timeout(channel_, &most, &wait);
    timer_.expires_after(absl::ToChronoNanoseconds(absl::DurationFromTimeval(*next)));
    timer_.async_wait([self = shared_from_this()](error_code cancelled) {
      if (cancelled || self->over_) return;
      if (std::chrono::steady_clock::now() >= self->deadline_) {
        return self->Finish(absl::DeadlineExceededError("no name server has answered in time"));
      }
      ares_process_fd(self->channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
      self->Await();
    });
  }

  static void Found(void* self, int status, int, ares_addrinfo* result) {
    Run& run = *static_cast<Run*>(self);
    Addresses addresses;
    for (const ares_addrinfo_node* at = result == nullptr ? nullptr : result->nodes; at != nullptr; at = at->ai_next) {
      asio::ip::tcp::endpoint& endpoint = addresses.emplace_back();
      endpoint.resize(at->ai_addrlen);
      std::memcpy(endpoint.data(), at->ai_addr, at->ai_addrlen);
      endpoint.port(run.port_);
    }
    if (result != nullptr) ares_freeaddrinfo(result);
    if (status == ARES_SUCCESS && addresses.empty()) status = ARES_ENODATA;
    if (status == ARES_SUCCESS) return run.Finish(std::move(addresses));
    run.Finish(ErrorOf(status));
  }

  // c-ares may be on the stack: what it has is let go of later.
  void Finish(absl::StatusOr<Addresses> found) {
    if (std::exchange(over_, true)) return;
    asio::post(io_, [self = shared_from_this(), found = std::move(found)]() mutable {
      self->Close();
      if (self->done_ == nullptr) return;
      Done done = std::exchange(self->done_, nullptr);
      done(std::move(found));
    });
  }

  asio::io_context& io_;
  asio::steady_timer timer_;
  const std::string host_;
  const uint16_t port_;
  const std::string servers_;
  std::chrono::steady_clock::time_point deadline_;
  Done done_;
  bool over_ = false;
  ares_channel channel_ = nullptr;
  std::map<ares_socket_t, Socket> sockets_;
};

Lookup::Lookup(asio::io_context& io, std::string host, int port, std::string servers)
    : run_(std::make_shared<Run>(io, std::move(host), port, std::move(servers))) {}

Lookup::~Lookup() { run_->Abandon(); }

void Lookup::Start(absl::Duration timeout, Done done) { run_->Start(timeout, std::move(done)); }

}  // namespace waybill::http
