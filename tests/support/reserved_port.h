// A loopback port that nobody else is given while this lives, for a server that comes, goes and comes back.
#pragma once

namespace waybill::testing {

// It is bound and does not listen, so that a server that sets SO_REUSEADDR, as ours do, can listen there, and neither
// bind to port 0 nor an outgoing connection takes it meanwhile.
class ReservedPort {
 public:
  ReservedPort();  // aborts when there is none
  ~ReservedPort();
  ReservedPort(const ReservedPort&) = delete;
  ReservedPort& operator=(const ReservedPort&) = delete;

  int port() const { return port_; }

 private:
  int fd_ = -1;
  int port_ = 0;
};

}  // namespace waybill::testing
