#include "tests/e2e/load.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "fmt/format.h"

namespace waybill::testing {
namespace {

bool IsDefinite(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::CANCELLED:
    case grpc::StatusCode::DEADLINE_EXCEEDED:
    case grpc::StatusCode::ABORTED:
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return false;
    default:
      return true;
  }
}

}  // namespace

Load::Load(OrderReplica& replica, int clients, std::string name)
    : replica_(replica), name_(std::move(name)), last_confirmed_(absl::Now()) {
  for (int i = 0; i < clients; ++i) threads_.emplace_back([this, i] { Run(i); });
}

void Load::Stop() {
  stopping_ = true;
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

template <typename Call>
bool Load::Persist(const std::string& what, Call call) {
  constexpr absl::Duration kPause = absl::Milliseconds(20);  // a client that hammers helps nobody
  const absl::Time give_up = absl::Now() + absl::Seconds(60);
  grpc::Status status;
  do {
    auto context = Deadline(absl::Seconds(2));
    // A call that fails at once leaves nobody to watch over the next connection: a server that is back was not noticed
    // for 20 s.
    context->set_wait_for_ready(true);
    status = call(*context);
    if (status.ok()) return true;
    if (IsDefinite(status.error_code())) break;
    ++repeated_;
    absl::SleepFor(kPause);
  } while (absl::Now() < give_up);
  std::lock_guard lock(mutex_);
  complaints_.push_back(fmt::format("{}: {} {}", what, static_cast<int>(status.error_code()), status.error_message()));
  return false;
}

void Load::NoteConfirmed() {
  ++confirmed_;
  std::lock_guard lock(mutex_);
  const absl::Time now = absl::Now();
  longest_pause_ = std::max(longest_pause_, now - last_confirmed_);
  last_confirmed_ = now;
}

absl::Duration Load::LongestPause() {
  std::lock_guard lock(mutex_);
  const absl::Time now = absl::Now();
  const absl::Duration longest = std::max(longest_pause_, now - last_confirmed_);
  longest_pause_ = absl::ZeroDuration();
  last_confirmed_ = now;
  return longest;
}

void Load::Run(int client) {
  auto stub = replica_.Orders();
  for (int n = 0; !stopping_; ++n) {
    const std::string key = fmt::format("{}-{}-order-{}", name_, client, n);
    order::v1::CreateOrderRequest request = OrderRequestFor(key);
    if (n % 2 == 1) {
      request.mutable_pickup()->set_latitude(52.52);
      request.mutable_pickup()->set_longitude(13.40);
    }
    order::v1::Order order;
    if (!Persist(key, [&](grpc::ClientContext& context) { return stub->CreateOrder(&context, request, &order); })) {
      return;
    }
    Told told{order.order_id(), "compensated"};
    if (order.status() == order::v1::CONFIRMED) {
      NoteConfirmed();
      told.state = "closed";
      order::v1::CompleteOrderRequest complete;
      complete.set_order_id(order.order_id());
      if (!Persist("complete " + key,
                   [&](grpc::ClientContext& context) { return stub->CompleteOrder(&context, complete, &order); })) {
        return;
      }
    } else {
      ++turned_back_;
    }
    std::lock_guard lock(mutex_);
    const auto expected = told.state == "closed" ? order::v1::COMPLETED : order::v1::FAILED;
    if (order.status() != expected) {
      complaints_.push_back(fmt::format("{} is told to be {}", key, order::v1::OrderStatus_Name(order.status())));
    }
    told_[key] = std::move(told);
  }
}

std::vector<std::string> Load::Complaints(Sql& sql) const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> complaints = complaints_;
  std::map<std::string, std::vector<Told>> kept;
  for (const auto& row : sql.Rows("SELECT idempotency_key, order_id, state FROM order_sagas")) {
    kept[row[0]].push_back({row[1], row[2]});
  }
  for (const auto& [key, told] : told_) {
    const std::vector<Told>& orders = kept[key];
    if (orders.size() != 1) {
      complaints.push_back(fmt::format("{} has {} orders", key, orders.size()));
    } else if (orders[0].order_id != told.order_id || orders[0].state != told.state) {
      complaints.push_back(fmt::format("{} is {} {}, and the client was told {} {}", key, orders[0].order_id,
                                       orders[0].state, told.order_id, told.state));
    }
  }
  if (told_.empty()) complaints.push_back("nobody was told anything");
  return complaints;
}

}  // namespace waybill::testing
