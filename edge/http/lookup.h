// The addresses of a host, by c-ares on an io_context: no thread waits for name servers, and one that never answers
// delays nobody else's. As /etc/hosts, /etc/resolv.conf and /etc/nsswitch.conf say; other modules of the C library's
// (LDAP, mDNS) are not asked.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "boost/asio/io_context.hpp"
#include "boost/asio/ip/tcp.hpp"

namespace waybill::http {

using Addresses = std::vector<boost::asio::ip::tcp::endpoint>;

class Lookup {
 public:
  // In the order in which to try them; at least one. NOT_FOUND: there is no such name, or it has no address;
  // DEADLINE_EXCEEDED: not answered in time; UNAVAILABLE: name servers are away, or refuse.
  using Done = absl::AnyInvocable<void(absl::StatusOr<Addresses> found)>;

  // `io` outlives this. `servers`: "ADDRESS:PORT", in place of resolv.conf's; for tests.
  Lookup(boost::asio::io_context& io, std::string host, int port, std::string servers = "");
  ~Lookup();  // nobody is told any more
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;

  // Once. `done` is called once, on `io`'s thread and not before this returns, and may end this.
  void Start(absl::Duration timeout, Done done);

 private:
  class Run;

  std::shared_ptr<Run> run_;
};

}  // namespace waybill::http
