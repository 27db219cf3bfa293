#include "bench/read_load.h"

#include <grpcpp/grpcpp.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "bench/http_caller.h"
#include "fmt/format.h"
#include "waybill/order/v1/order.grpc.pb.h"

namespace waybill::bench {
namespace {

namespace pb = ::waybill::order::v1;

constexpr std::chrono::seconds kConnectMax{10};

// What is answered between the end of the warm-up and the end of the window.
class Counting {
 public:
  Counting(const ReadOptions& options, const Timer& timer)
      : timer_(timer), start_(timer.Now() + options.warm_up), end_(start_ + options.duration) {}
  // One more; false when the window is over.
  bool Answered() {
    const absl::Duration now = timer_.Now();
    if (now >= start_ && now < end_) ++count_;
    return now < end_;
  }
  double PerSecond() const { return static_cast<double>(count_) / absl::ToDoubleSeconds(end_ - start_); }

 private:
  const Timer& timer_;
  const absl::Duration start_;
  const absl::Duration end_;
  int64_t count_ = 0;
};

struct Read {
  std::optional<grpc::ClientContext> context;
  pb::Order order;
  grpc::Status status;
  std::unique_ptr<grpc::ClientAsyncResponseReader<pb::Order>> reader;

  void Start(pb::OrderService::Stub& stub, const pb::GetOrderRequest& request, grpc::CompletionQueue& queue) {
    context.emplace();
    reader = stub.AsyncGetOrder(&*context, request, &queue);
    reader->Finish(&order, &status, this);
  }
};

}  // namespace

absl::StatusOr<std::string> MakeOrder(const std::string& target) {
  auto stub = pb::OrderService::NewStub(grpc::CreateChannel(target, grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kConnectMax);
  context.set_wait_for_ready(true);
  pb::CreateOrderRequest request;
  request.set_idempotency_key("to-be-read");
  request.set_user_id("reader");
  request.mutable_amount()->set_minor_units(1250);
  request.mutable_amount()->set_currency("EUR");
  pb::Order order;
  const grpc::Status status = stub->CreateOrder(&context, request, &order);
  if (!status.ok()) return absl::InternalError(fmt::format("no order can be made: {}", status.error_message()));
  return order.order_id();
}

absl::StatusOr<double> ReadByGrpc(const ReadOptions& options, const Timer& timer) {
  auto channel = grpc::CreateChannel(options.target, grpc::InsecureChannelCredentials());
  channel->WaitForConnected(std::chrono::system_clock::now() + kConnectMax);
  auto stub = pb::OrderService::NewStub(channel);
  pb::GetOrderRequest request;
  request.set_order_id(options.order_id);
  grpc::CompletionQueue queue;
  std::vector<Read> reads(static_cast<size_t>(options.callers));
  Counting counting(options, timer);
  for (Read& read : reads) read.Start(*stub, request, queue);
  absl::Status wrong;
  void* tag = nullptr;
  bool ok = false;
  for (size_t in_flight = reads.size(); in_flight > 0 && queue.Next(&tag, &ok);) {
    Read& read = *static_cast<Read*>(tag);
    if (!read.status.ok()) wrong = absl::InternalError(fmt::format("a read failed: {}", read.status.error_message()));
    if (counting.Answered() && wrong.ok()) {
      read.Start(*stub, request, queue);
    } else {
      --in_flight;
    }
  }
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) {
  }
  if (!wrong.ok()) return wrong;
  return counting.PerSecond();
}

absl::StatusOr<double> ReadByConnect(const ReadOptions& options, const Timer& timer) {
  const std::string body = fmt::format("{{\"orderId\":\"{}\"}}", options.order_id);
  const std::string request = fmt::format(
      "POST /waybill.order.v1.OrderService/GetOrder HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n"
      "Connect-Protocol-Version: 1\r\nContent-Length: {}\r\n\r\n{}",
      options.target, body.size(), body);
  std::vector<HttpCaller> callers(static_cast<size_t>(options.callers));
  const int ready = epoll_create1(EPOLL_CLOEXEC);
  Counting counting(options, timer);
  absl::Status wrong;
  for (HttpCaller& caller : callers) {
    wrong = caller.Connect(options.target);
    if (wrong.ok()) wrong = caller.Ask(request);
    if (!wrong.ok()) break;
    epoll_event event{EPOLLIN, {&caller}};
    epoll_ctl(ready, EPOLL_CTL_ADD, caller.fd(), &event);
  }
  std::array<epoll_event, 64> events;
  for (size_t in_flight = callers.size(); wrong.ok() && in_flight > 0;) {
    const int count = epoll_wait(ready, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count && wrong.ok(); ++i) {
      HttpCaller& caller = *static_cast<HttpCaller*>(events[static_cast<size_t>(i)].data.ptr);
      const absl::StatusOr<std::optional<int>> code = caller.Read();
      if (!code.ok()) {
        wrong = code.status();
      } else if (!*code) {
        continue;
      } else if (**code != 200) {
        wrong = absl::InternalError(fmt::format("a read was answered: {}", caller.answer()));
      } else if (counting.Answered()) {
        wrong = caller.Ask(request);
      } else {
        --in_flight;
      }
    }
  }
  close(ready);
  if (!wrong.ok()) return wrong;
  return counting.PerSecond();
}

}  // namespace waybill::bench
