#include "tests/e2e/service_process.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "absl/time/clock.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/support/eventually.h"

namespace waybill::testing {
namespace {

constexpr absl::Duration kStartMax = absl::Seconds(30);

}  // namespace

std::shared_ptr<grpc::Channel> ConnectTo(int port) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL,
                   1);  // a channel that outlived a dead server must not be met again
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 200);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetMaxReceiveMessageSize(-1);  // the books of a long test
  return grpc::CreateCustomChannel(fmt::format("127.0.0.1:{}", port), grpc::InsecureChannelCredentials(), arguments);
}

std::map<std::string, int> ReadPortFile(const std::string& path) {
  std::ifstream in(path);
  std::map<std::string, int> ports;
  std::string line;
  while (std::getline(in, line)) {
    size_t equals = line.find('=');
    if (equals != std::string::npos) ports[line.substr(0, equals)] = std::atoi(line.c_str() + equals + 1);
  }
  return ports;
}

std::unique_ptr<grpc::ClientContext> Deadline(absl::Duration timeout, const std::string& client) {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  context->AddMetadata("waybill-client", client);
  return context;
}

void ServiceProcess::StartWithoutWaiting(const Environment& env) {
  for (auto [port, reserved] : {std::pair(&port_, &reserved_), std::pair(&side_port_, &side_reserved_)}) {
    if (*port != 0) continue;
    *reserved = std::make_unique<ReservedPort>();
    *port = (*reserved)->port();
  }
  ProcessOptions options;
  options.args = args_;
  options.args.insert(options.args.end(),
                      {"--listen", fmt::format("127.0.0.1:{}", port_), "--side-listen",
                       fmt::format("127.0.0.1:{}", side_port_), "--port-file", directory_ + "/ports"});
  options.env = env;
  std::remove((directory_ + "/ports").c_str());
  auto started = Process::Start(binary_, options);
  ASSERT_TRUE(started.ok()) << started.status();
  process_ = *std::move(started);
}

bool ServiceProcess::WaitForPorts() {
  std::map<std::string, int> ports;
  Eventually(kStartMax, [&] {
    ports = ReadPortFile(directory_ + "/ports");
    return ports.size() == 2 || !running();
  });
  if (ports.size() != 2) return false;
  // By its name, which is the service's; the other is the side port.
  for (const auto& [name, port] : ports) EXPECT_EQ(port, name == "side" ? side_port_ : port_) << name;
  return true;
}

void ServiceProcess::Start(const Environment& env) {
  StartWithoutWaiting(env);
  ASSERT_TRUE(WaitForPorts()) << process_->Output();
  ASSERT_TRUE(Eventually(kStartMax, [&] { return Http("/readyz").find(" 200 ") != std::string::npos; }))
      << Http("/readyz?verbose") << process_->Output();
}

void ServiceProcess::Kill() {
  process_->Signal(SIGKILL);
  process_->Wait(absl::Seconds(10));
}

std::optional<int> ServiceProcess::Stop(absl::Duration timeout) {
  process_->Signal(SIGTERM);
  return process_->Wait(timeout);
}

double ServiceProcess::Metric(const std::string& name_and_labels) const {
  std::istringstream lines(Http("/metrics"));
  std::string line;
  while (std::getline(lines, line)) {
    if (line.compare(0, name_and_labels.size(), name_and_labels) == 0 && line[name_and_labels.size()] == ' ') {
      return std::atof(line.c_str() + name_and_labels.size());
    }
  }
  return 0;
}

std::shared_ptr<grpc::Channel> ServiceProcess::Channel() const { return ConnectTo(port_); }

// By HTTP/1.0, so that nothing comes in chunks.
std::string HttpGet(int port, const std::string& path) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  timeval timeout{5, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string answer;
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
    std::string request = fmt::format("GET {} HTTP/1.0\r\nHost: localhost\r\n\r\n", path);
    send(fd, request.data(), request.size(), MSG_NOSIGNAL);
    char buffer[65536];
    for (ssize_t n; (n = recv(fd, buffer, sizeof buffer, 0)) > 0;) answer.append(buffer, static_cast<size_t>(n));
  }
  close(fd);
  return answer;
}

}  // namespace waybill::testing
