#include "services/realtime/session.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "domain/reasons.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "runtime/status.h"

namespace waybill::realtime {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

Message Dump(const ordered_json& message) {
  return std::make_shared<const std::string>(message.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
}

Message ErrorOf(const std::string& channel, const absl::Status& status) {
  const ErrorDetail detail = GetErrorDetail(status);
  ordered_json message = {
      {"type", "error"}, {"channel", channel}, {"reason", detail.reason}, {"message", std::string(status.message())}};
  // Otherwise the same will be said again.
  message["retry"] = absl::IsUnavailable(status) || absl::IsResourceExhausted(status);
  return Dump(message);
}

std::string TextOf(const json& message, const char* name) {
  const auto found = message.find(name);
  return found != message.end() && found->is_string() ? found->get<std::string>() : "";
}

// "order:ID"
std::optional<Uuid> OrderOf(std::string_view channel) {
  constexpr std::string_view kOrder = "order:";
  return channel.starts_with(kOrder) ? Uuid::Parse(channel.substr(kOrder.size())) : std::nullopt;
}

}  // namespace

// What goes to the app, in order, as its socket has room. Thread-safe.
class Session::Outbox {
 public:
  Outbox(http::WebSocketPtr socket, size_t answers_max) : socket_(std::move(socket)), answers_max_(answers_max) {}

  // Answers wait here.
  void Say(Message answer) {
    std::lock_guard lock(mutex_);
    if (waiting_.empty() && socket_->SendIfRoom(answer)) return;
    if (waiting_.size() >= answers_max_) {
      return socket_->Close(http::kCloseTryAgainLater, "what must arrive is not taken in time");
    }
    waiting_.push_back(std::move(answer));
  }
  // Events do not.
  bool Tell(const Message& event) {
    std::lock_guard lock(mutex_);
    return waiting_.empty() && socket_->SendIfRoom(event);
  }
  // Whether all that waited is sent.
  bool Flush() {
    std::lock_guard lock(mutex_);
    while (!waiting_.empty() && socket_->SendIfRoom(waiting_.front())) waiting_.pop_front();
    return waiting_.empty();
  }

 private:
  const http::WebSocketPtr socket_;
  const size_t answers_max_;
  std::mutex mutex_;
  std::deque<Message> waiting_;  // guarded by mutex_
};

// On the channels' threads.
class Session::Sink final : public ChannelSink {
 public:
  Sink(std::string channel, std::shared_ptr<Outbox> outbox)
      : channel_(std::move(channel)), outbox_(std::move(outbox)) {}

  void Subscribed(const std::string& epoch, int64_t offset, bool recovered) override {
    outbox_->Say(Dump({{"type", "subscribed"},
                       {"channel", channel_},
                       {"epoch", epoch},
                       {"offset", offset},
                       {"recovered", recovered}}));
  }
  bool Event(const Message& event) override {
    behind_ = true;  // before it is refused, since OnRoom may come at once
    if (!outbox_->Tell(event)) return false;
    behind_ = false;
    return true;
  }
  void Ended(const absl::Status& status) override {
    over_ = true;
    behind_ = false;
    outbox_->Say(status.ok() ? Dump({{"type", "ended"}, {"channel", channel_}}) : ErrorOf(channel_, status));
  }
  bool over() const { return over_; }
  bool behind() const { return behind_; }

 private:
  const std::string channel_;
  const std::shared_ptr<Outbox> outbox_;
  std::atomic<bool> over_{false};
  std::atomic<bool> behind_{false};
};

Session::~Session() { Leave(); }

void Session::OnOpen(http::WebSocketPtr socket) {
  socket_ = std::move(socket);
  outbox_ = std::make_shared<Outbox>(socket_, options_.answers_max);
  messages_left_ = options_.messages_burst;
  messages_at_ = clock_.Steady();
  outbox_->Say(Dump({{"type", "welcome"}, {"expires", absl::ToUnixSeconds(claims_.expires)}}));
  const auto expire = [to = socket_] { to->Close(kCloseTokenExpired, "TOKEN_EXPIRED"); };
  expiry_ = scheduler_.At(clock_.Steady() + (claims_.expires - clock_.Now()), expire);
}

void Session::OnClose(uint16_t, std::string_view) {
  Leave();
  socket_ = nullptr;
}

// One after the other, from behind the one that was served last, so that a long story keeps no other from being told.
void Session::OnRoom() {
  if (!outbox_->Flush()) return;
  auto at = subscriptions_.upper_bound(resumed_);
  for (size_t left = subscriptions_.size(); left > 0; --left, ++at) {
    if (at == subscriptions_.end()) at = subscriptions_.begin();
    if (!at->second->behind()) continue;
    resumed_ = at->first;
    // An event of that moment may make it look behind again, and be taken: only who was refused hears of room.
    if (channels_.Resume(at->first, *at->second)) return;
  }
}

void Session::Leave() {
  if (expiry_) scheduler_.Cancel(*std::exchange(expiry_, std::nullopt));
  for (const auto& [order_id, sink] : subscriptions_) channels_.Unsubscribe(order_id, *sink);
  subscriptions_.clear();
}

bool Session::TakeMessage() {
  const SteadyTime now = clock_.Steady();
  const double earned = absl::ToDoubleSeconds(now - std::exchange(messages_at_, now)) * options_.messages_per_second;
  messages_left_ = std::min(options_.messages_burst, messages_left_ + earned) - 1;
  return messages_left_ >= 0;
}

void Session::OnMessage(std::string text, bool is_text) {
  if (!TakeMessage()) return socket_->Close(kCloseTooOften, "RATE_LIMITED");
  const json message = is_text ? json::parse(text, nullptr, /*allow_exceptions=*/false) : json();
  if (!message.is_object()) return socket_->Close(kCloseBadMessage, "the message is no JSON object");
  const std::string type = TextOf(message, "type"), channel = TextOf(message, "channel");
  if (type == "subscribe") {
    std::optional<Position> from;
    if (const auto offset = message.find("offset"); offset != message.end()) {
      if (!offset->is_number_integer()) return socket_->Close(kCloseBadMessage, "offset is no whole number");
      from = Position{TextOf(message, "epoch"), offset->get<int64_t>()};
    }
    Subscribe(channel, std::move(from));
  } else if (type == "unsubscribe") {
    Unsubscribe(channel);
  } else if (type == "ping") {
    outbox_->Say(Dump({{"type", "pong"}}));
  } else {
    socket_->Close(kCloseBadMessage, "type is none of subscribe, unsubscribe, ping");
  }
}

void Session::Refuse(const std::string& channel, const absl::Status& status) { outbox_->Say(ErrorOf(channel, status)); }

void Session::Subscribe(const std::string& channel, std::optional<Position> from) {
  const std::optional<Uuid> order_id = OrderOf(channel);
  if (!order_id) return Refuse(channel, domain::BadField("channel", "is not order:ID"));
  if (!tokens::Allows(claims_, "order:" + order_id->ToString())) {
    return Refuse(channel, domain::ReasonError("TOPIC_NOT_ALLOWED", "the token's topics do not name this channel"));
  }
  std::erase_if(subscriptions_, [](const auto& one) { return one.second->over(); });
  if (subscriptions_.contains(*order_id)) {
    return Refuse(channel, domain::BadField("channel", "is followed already"));
  }
  if (subscriptions_.size() >= options_.subscriptions_max) {
    return Refuse(channel, domain::QueueFull(fmt::format("{} channels are followed", options_.subscriptions_max),
                                             absl::Seconds(5)));
  }
  const auto sink = std::make_shared<Sink>("order:" + order_id->ToString(), outbox_);
  subscriptions_.emplace(*order_id, sink);
  channels_.Subscribe(*order_id, {claims_.tenant, claims_.user}, std::move(from), sink);
}

void Session::Unsubscribe(const std::string& channel) {
  const std::optional<Uuid> order_id = OrderOf(channel);
  const auto at = order_id ? subscriptions_.find(*order_id) : subscriptions_.end();
  if (at != subscriptions_.end()) {
    channels_.Unsubscribe(at->first, *at->second);
    subscriptions_.erase(at);
  }
  outbox_->Say(Dump({{"type", "unsubscribed"}, {"channel", channel}}));
}

}  // namespace waybill::realtime
