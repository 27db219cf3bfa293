// RabbitMQ for tests: a broker of a test program's own, with nothing of the machine's.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/support/process.h"
#include "tests/support/temp_directory.h"

namespace waybill::testing {

// A broker on free loopback ports, with a node name, a cookie, a port mapper (epmd) and folders of its own, as user
// rabbitmq where the test runs as root. Whatever there is of it ends with the test program.
class RabbitmqServer {
 public:
  // `settings`: lines of rabbitmq.conf behind the defaults, "consumer_timeout = 1000". Ready when this returns, which
  // takes some seconds.
  static absl::StatusOr<std::unique_ptr<RabbitmqServer>> Start(std::vector<std::string> settings = {});
  ~RabbitmqServer();

  int port() const { return port_; }
  // guest's.
  std::string Url(std::string_view virtual_host = "%2F") const;
  // Over TLS, to a host of that name; its certificate is localhost's, and 127.0.0.1's.
  std::string TlsUrl(std::string_view host = "localhost") const;
  std::string ca_file() const { return directory_.path() / "ca.pem"; }  // who vouches for it

  void Kill();                // -9
  void StopCleanly();         // connections are told: 320 CONNECTION_FORCED
  absl::Status StartAgain();  // the same ports, with what is on disk
  bool Signal(int signal) { return process_ && process_->Signal(signal); }

  // What rabbitmqctl does, in a second or two: Control({"set_vm_memory_high_watermark", "0.4"}). What it says.
  absl::StatusOr<std::string> Control(std::vector<std::string> arguments) const;

 private:
  RabbitmqServer();

  absl::Status Launch();
  std::vector<std::pair<std::string, std::string>> Environment() const;

  TempDirectory directory_;
  int port_ = 0;
  int tls_port_ = 0;
  int mapper_port_ = 0;
  int node_port_ = 0;
  std::unique_ptr<Process> mapper_;
  std::unique_ptr<Process> process_;
};

// One for all tests of a program that do not break it. Ends with the program.
RabbitmqServer& SharedRabbitmq();
// "transactions-3-91234": no other test has it.
std::string NewQueueName(std::string_view prefix);

}  // namespace waybill::testing
