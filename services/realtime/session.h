// One app's WebSocket, by the subprotocol waybill.v1.json: it follows orders, each as far as its token allows, until
// the token's time is over. docs/realtime.md has the messages.
#pragma once

#include <atomic>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "edge/http/websocket.h"
#include "edge/tokens/token.h"
#include "runtime/clock.h"
#include "runtime/scheduler.h"
#include "services/realtime/order_channels.h"

namespace waybill::realtime {

inline constexpr char kSubprotocol[] = "waybill.v1.json";

// Why a session ends, for the app: whether to come back is in the code. Those of HTTP as edge/websocket has them.
inline constexpr uint16_t kCloseBadMessage = 4400;    // a bug of the app's: do not come back
inline constexpr uint16_t kCloseTokenExpired = 4401;  // come back with a fresh one
inline constexpr uint16_t kCloseTooOften = 4429;      // come back later

struct SessionOptions {
  size_t subscriptions_max = 100;
  // Answers that wait for an app that does not take them; for more it is closed with 1013. Events wait in their
  // channels.
  size_t answers_max = 2'000;
  // Messages of the app's: so many at once, and then so many a second.
  double messages_burst = 200;
  double messages_per_second = 20;
};

class Session final : public http::WebSocketHandler {
 public:
  // All outlive this. `claims` hold now.
  Session(OrderChannels& channels, Scheduler& scheduler, const Clock& clock, const SessionOptions& options,
          tokens::Claims claims)
      : channels_(channels), scheduler_(scheduler), clock_(clock), options_(options), claims_(std::move(claims)) {}
  ~Session() override;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void OnOpen(http::WebSocketPtr socket) override;
  void OnMessage(std::string text, bool is_text) override;
  void OnRoom() override;
  void OnClose(uint16_t code, std::string_view reason) override;

 private:
  class Outbox;
  class Sink;

  void Subscribe(const std::string& channel, std::optional<Position> from);
  void Unsubscribe(const std::string& channel);
  void Refuse(const std::string& channel, const absl::Status& status);
  bool TakeMessage();
  void Leave();

  OrderChannels& channels_;
  Scheduler& scheduler_;
  const Clock& clock_;
  const SessionOptions options_;
  const tokens::Claims claims_;
  // On the server's thread.
  http::WebSocketPtr socket_;
  std::shared_ptr<Outbox> outbox_;
  Uuid resumed_;  // the order that had room last: the others come first
  std::optional<Scheduler::TimerId> expiry_;
  std::map<Uuid, std::shared_ptr<Sink>> subscriptions_;
  double messages_left_ = 0;
  SteadyTime messages_at_;
};

}  // namespace waybill::realtime
