// One process of a built service binary: started, awaited, asked, killed and stopped. Keeps its ports over restarts, as
// a replica behind a fixed address does.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "grpcpp/grpcpp.h"
#include "tests/support/process.h"
#include "tests/support/reserved_port.h"

namespace waybill::testing {

using Environment = std::vector<std::pair<std::string, std::string>>;

// The whole answer of an HTTP server of this machine; "" when it does not answer.
std::string HttpGet(int port, const std::string& path);

class ServiceProcess {
 public:
  // `directory` exists and is this process's own: the port file goes there.
  ServiceProcess(std::string binary, std::vector<std::string> args, std::string directory)
      : binary_(std::move(binary)), args_(std::move(args)), directory_(std::move(directory)) {}

  // Of the next start, instead of any that is free.
  void UseSidePort(int port) { side_port_ = port; }
  // Ready for calls when this returns; fails the test otherwise.
  void Start(const Environment& env = {});
  // The same, for a process that is expected to die early: returns as soon as it runs.
  void StartWithoutWaiting(const Environment& env);
  // Until the ports are known; false when the process ended first.
  bool WaitForPorts();
  void Kill();  // SIGKILL, and waits for the end
  // SIGTERM; the exit code.
  std::optional<int> Stop(absl::Duration timeout = absl::Seconds(30));

  Process& process() { return *process_; }
  bool running() const { return process_ && process_->Running(); }
  int port() const { return port_; }
  int side_port() const { return side_port_; }
  std::shared_ptr<grpc::Channel> Channel() const;  // a connection of its own
  std::string Http(const std::string& path) const { return HttpGet(side_port_, path); }
  // The value of a metric without labels, or with exactly these ("{a=\"b\"}"); 0 when it is not there.
  double Metric(const std::string& name_and_labels) const;

 private:
  std::string binary_;
  std::vector<std::string> args_;
  std::string directory_;
  std::unique_ptr<Process> process_;
  // So that whoever restarts finds its ports free: 0 until the first start.
  std::unique_ptr<ReservedPort> reserved_, side_reserved_;
  int port_ = 0;
  int side_port_ = 0;
};

// A connection of its own to a port of this machine, which is quick to try again.
std::shared_ptr<grpc::Channel> ConnectTo(int port);

// "grpc=4242\nside=4243\n" -> {{"grpc", 4242}, …}; empty when the file is not whole yet.
std::map<std::string, int> ReadPortFile(const std::string& path);

std::unique_ptr<grpc::ClientContext> Deadline(absl::Duration timeout, const std::string& client = "e2e");

}  // namespace waybill::testing
