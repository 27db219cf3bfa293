#include "edge/amqp/connection.h"

#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>
#include <vector>

#include "domain/reasons.h"
#include "fmt/format.h"

namespace waybill::amqp {
namespace {

constexpr amqp_channel_t kChannel = 1;
constexpr int kChannelsMax = 8;
constexpr int kFrameMax = 131'072;

amqp_bytes_t Bytes(std::string_view text) {
  amqp_bytes_t bytes;
  bytes.len = text.size();
  bytes.bytes = const_cast<char*>(text.data());  // NOLINT(cppcoreguidelines-pro-type-const-cast): it is only read
  return bytes;
}

std::string Text(amqp_bytes_t bytes) {
  return bytes.len == 0 ? std::string() : std::string(static_cast<const char*>(bytes.bytes), bytes.len);
}

timeval Timeval(absl::Duration duration) { return absl::ToTimeval(duration); }

absl::Status Unavailable(std::string_view message) { return domain::ReasonError("BROKER_UNAVAILABLE", message); }

// Codes of channel.close and connection.close that say that we are in the wrong, and will be again.
bool IsRefusal(int code) {
  return code == AMQP_ACCESS_REFUSED || code == AMQP_NOT_ALLOWED || code == AMQP_PRECONDITION_FAILED ||
         code == AMQP_RESOURCE_LOCKED || code == AMQP_NOT_IMPLEMENTED;
}

absl::Status Closed(std::string_view what, int code, const std::string& why) {
  const std::string message = fmt::format("RabbitMQ closed the {}: {} {}", what, code, why);
  if (code == AMQP_NOT_FOUND) return domain::ReasonError("BROKER_QUEUE_NOT_FOUND", message);
  return IsRefusal(code) ? domain::ReasonError("BROKER_REFUSED", message) : Unavailable(message);
}

template <typename T>
T& Decoded(const amqp_method_t& method) {
  return *static_cast<T*>(method.decoded);
}

Headers ReadHeaders(const amqp_table_t& table) {
  Headers headers;
  if (table.num_entries > static_cast<int>(kHeadersCountMax)) return headers;
  for (int i = 0; i < table.num_entries; ++i) {
    const amqp_table_entry_t& entry = table.entries[i];
    const amqp_field_value_t& value = entry.value;
    std::string name = Text(entry.key);
    switch (value.kind) {
      case AMQP_FIELD_KIND_UTF8:
      case AMQP_FIELD_KIND_BYTES:
        headers.emplace_back(std::move(name), Text(value.value.bytes));
        break;
      case AMQP_FIELD_KIND_BOOLEAN:
        headers.emplace_back(std::move(name), value.value.boolean != 0);
        break;
      case AMQP_FIELD_KIND_I8:
        headers.emplace_back(std::move(name), int64_t{value.value.i8});
        break;
      case AMQP_FIELD_KIND_U8:
        headers.emplace_back(std::move(name), int64_t{value.value.u8});
        break;
      case AMQP_FIELD_KIND_I16:
        headers.emplace_back(std::move(name), int64_t{value.value.i16});
        break;
      case AMQP_FIELD_KIND_U16:
        headers.emplace_back(std::move(name), int64_t{value.value.u16});
        break;
      case AMQP_FIELD_KIND_I32:
        headers.emplace_back(std::move(name), int64_t{value.value.i32});
        break;
      case AMQP_FIELD_KIND_U32:
        headers.emplace_back(std::move(name), int64_t{value.value.u32});
        break;
      case AMQP_FIELD_KIND_I64:
        headers.emplace_back(std::move(name), value.value.i64);
        break;
      case AMQP_FIELD_KIND_U64:
        headers.emplace_back(std::move(name), static_cast<int64_t>(value.value.u64));
        break;
      case AMQP_FIELD_KIND_F32:
        headers.emplace_back(std::move(name), double{value.value.f32});
        break;
      case AMQP_FIELD_KIND_F64:
        headers.emplace_back(std::move(name), value.value.f64);
        break;
      case AMQP_FIELD_KIND_TIMESTAMP:
        headers.emplace_back(std::move(name), absl::FromUnixSeconds(static_cast<int64_t>(value.value.u64)));
        break;
      default:
        break;  // a list or a table, such as x-death
    }
  }
  return headers;
}

amqp_field_value_t TextValue(std::string_view text) {
  amqp_field_value_t value;
  value.kind = AMQP_FIELD_KIND_UTF8;
  value.value.bytes = Bytes(text);
  return value;
}

amqp_field_value_t IntegerValue(int64_t integer) {
  amqp_field_value_t value;
  value.kind = AMQP_FIELD_KIND_I64;
  value.value.i64 = integer;
  return value;
}

amqp_field_value_t BooleanValue(bool boolean) {
  amqp_field_value_t value;
  value.kind = AMQP_FIELD_KIND_BOOLEAN;
  value.value.boolean = boolean ? 1 : 0;
  return value;
}

// Refers to the names and texts that it was given.
class Table {
 public:
  void Add(std::string_view name, amqp_field_value_t value) { entries_.push_back({Bytes(name), value}); }
  void Add(const Headers& headers) {
    for (const auto& [name, value] : headers) {
      if (const auto* text = std::get_if<std::string>(&value)) {
        Add(name, TextValue(*text));
      } else if (const auto* integer = std::get_if<int64_t>(&value)) {
        Add(name, IntegerValue(*integer));
      } else if (const auto* boolean = std::get_if<bool>(&value)) {
        Add(name, BooleanValue(*boolean));
      } else if (const auto* number = std::get_if<double>(&value)) {
        amqp_field_value_t field;
        field.kind = AMQP_FIELD_KIND_F64;
        field.value.f64 = *number;
        Add(name, field);
      } else if (const auto* time = std::get_if<absl::Time>(&value)) {
        amqp_field_value_t field;
        field.kind = AMQP_FIELD_KIND_TIMESTAMP;
        field.value.u64 = static_cast<uint64_t>(std::max<int64_t>(0, absl::ToUnixSeconds(*time)));
        Add(name, field);
      }
    }
  }
  void Add(std::string_view name, Table& table) {
    amqp_field_value_t field;
    field.kind = AMQP_FIELD_KIND_TABLE;
    field.value.table = table.get();
    Add(name, field);
  }
  amqp_table_t get() { return {static_cast<int>(entries_.size()), entries_.data()}; }

 private:
  std::vector<amqp_table_entry_t> entries_;
};

void ReadProperties(const amqp_basic_properties_t& properties, Message& message) {
  const auto text = [&](amqp_flags_t flag, amqp_bytes_t bytes, std::string& into) {
    if ((properties._flags & flag) != 0) into = Text(bytes);
  };
  text(AMQP_BASIC_CONTENT_TYPE_FLAG, properties.content_type, message.content_type);
  text(AMQP_BASIC_CONTENT_ENCODING_FLAG, properties.content_encoding, message.content_encoding);
  text(AMQP_BASIC_CORRELATION_ID_FLAG, properties.correlation_id, message.correlation_id);
  text(AMQP_BASIC_REPLY_TO_FLAG, properties.reply_to, message.reply_to);
  text(AMQP_BASIC_MESSAGE_ID_FLAG, properties.message_id, message.message_id);
  text(AMQP_BASIC_TYPE_FLAG, properties.type, message.type);
  text(AMQP_BASIC_APP_ID_FLAG, properties.app_id, message.app_id);
  if ((properties._flags & AMQP_BASIC_TIMESTAMP_FLAG) != 0) {
    message.timestamp = absl::FromUnixSeconds(static_cast<int64_t>(properties.timestamp));
  }
  if ((properties._flags & AMQP_BASIC_PRIORITY_FLAG) != 0) message.priority = properties.priority;
  if ((properties._flags & AMQP_BASIC_HEADERS_FLAG) != 0) message.headers = ReadHeaders(properties.headers);
  message.persistent = (properties._flags & AMQP_BASIC_DELIVERY_MODE_FLAG) != 0 && properties.delivery_mode == 2;
}

}  // namespace

Interrupt::~Interrupt() { Forget(); }

void Interrupt::Fire() {
  const std::lock_guard lock(mutex_);
  fired_ = true;
  if (socket_ >= 0) shutdown(socket_, SHUT_RDWR);
}

// librabbitmq may close the connection's descriptor at any time, and its number be somebody else's then.
bool Interrupt::Watch(int socket) {
  const std::lock_guard lock(mutex_);
  if (!fired_) socket_ = fcntl(socket, F_DUPFD_CLOEXEC, 0);
  return !fired_;
}

void Interrupt::Forget() {
  const std::lock_guard lock(mutex_);
  if (socket_ >= 0) close(socket_);
  socket_ = -1;
}

struct Connection::State {
  ~State() {
    if (interrupt != nullptr) interrupt->Forget();
    if (connection != nullptr) amqp_destroy_connection(connection);
  }

  // OK, or why not: of what answers. After an error nothing more is sent.
  absl::Status Check(const amqp_rpc_reply_t& reply, std::string_view what) {
    switch (reply.reply_type) {
      case AMQP_RESPONSE_NORMAL:
        return absl::OkStatus();
      case AMQP_RESPONSE_LIBRARY_EXCEPTION:
        return Failed(what, reply.library_error);
      case AMQP_RESPONSE_SERVER_EXCEPTION:
        return ClosedBy(reply.reply);
      default:
        return Failed(what, AMQP_STATUS_CONNECTION_CLOSED);
    }
  }
  absl::Status Check(int status, std::string_view what) {
    return status == AMQP_STATUS_OK ? absl::OkStatus() : Failed(what, status);
  }

  absl::Status Failed(std::string_view what, int status) {
    // Not a socket error: of the name on it, or of who vouches for it.
    const bool is_certificate =
        status == AMQP_STATUS_SSL_PEER_VERIFY_FAILED || status == AMQP_STATUS_SSL_HOSTNAME_VERIFY_FAILED;
    const std::string message = fmt::format("{}: {} ({})", address, amqp_error_string2(status), what);
    return is_certificate ? domain::ReasonError("BROKER_REFUSED", message) : Unavailable(message);
  }

  // The broker waits for our word before it forgets the channel or the connection.
  absl::Status ClosedBy(const amqp_method_t& method) {
    if (method.id == AMQP_CHANNEL_CLOSE_METHOD) {
      const auto& close = Decoded<amqp_channel_close_t>(method);
      amqp_channel_close_ok_t ok{};
      absl::Status status = Closed("channel", close.reply_code, Text(close.reply_text));
      amqp_send_method(connection, kChannel, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
      return status;
    }
    if (method.id == AMQP_CONNECTION_CLOSE_METHOD) {
      const auto& close = Decoded<amqp_connection_close_t>(method);
      amqp_connection_close_ok_t ok{};
      absl::Status status = Closed("connection", close.reply_code, Text(close.reply_text));
      amqp_send_method(connection, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &ok);
      return status;
    }
    return Unavailable(fmt::format("RabbitMQ answers with {}", amqp_method_name(method.id)));
  }

  std::string address;
  amqp_connection_state_t connection = nullptr;
  Interrupt* interrupt = nullptr;
  size_t body_bytes_max = 0;

  // A message of which not all has come.
  std::optional<Event> partial;
  bool has_header = false;
  uint64_t bytes_left = 0;

  Message& PartialMessage() {
    if (auto* arrived = std::get_if<Arrived>(&*partial)) return arrived->message;
    return std::get<Returned>(*partial).message;
  }
};

Connection::Connection(std::unique_ptr<State> state) : state_(std::move(state)) {}
Connection::~Connection() = default;

absl::StatusOr<std::unique_ptr<Connection>> Connection::Open(const ConnectionOptions& options, Interrupt* interrupt) {
  auto state = std::make_unique<State>();
  const Address& address = options.address;
  state->address = address.Printable();
  state->body_bytes_max = options.body_bytes_max;
  state->connection = amqp_new_connection();
  if (state->connection == nullptr) return Unavailable("no memory for a connection");
  amqp_socket_t* socket = nullptr;
  if (address.tls) {
    socket = amqp_ssl_socket_new(state->connection);
    if (socket == nullptr) return Unavailable("no memory for a connection");
    if (amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST) != AMQP_STATUS_OK) {
      return Unavailable("OpenSSL knows no TLS 1.2");
    }
    if (options.ca.empty()) {
      SSL_CTX_set_default_verify_paths(static_cast<SSL_CTX*>(amqp_ssl_socket_get_context(socket)));
    } else if (amqp_ssl_socket_set_cacert(socket, options.ca.c_str()) != AMQP_STATUS_OK) {
      return domain::ReasonError("BROKER_REFUSED", fmt::format("{} holds no certificates in PEM", options.ca));
    }
  } else {
    socket = amqp_tcp_socket_new(state->connection);
    if (socket == nullptr) return Unavailable("no memory for a connection");
  }
  const timeval connect = Timeval(options.connect_timeout);
  const timeval call = Timeval(options.call_timeout);
  amqp_set_handshake_timeout(state->connection, &connect);
  amqp_set_rpc_timeout(state->connection, &call);
  if (const int status = amqp_socket_open_noblock(socket, address.host.c_str(), address.port, &connect);
      status != AMQP_STATUS_OK) {
    return state->Failed("connecting", status);
  }
  // librabbitmq waits for ever until a peer that is alive reads what it is sent.
  const int descriptor = amqp_get_sockfd(state->connection);
  state->interrupt = interrupt;
  if (interrupt != nullptr && !interrupt->Watch(descriptor)) return Unavailable("it is not wanted any more");
  const auto write_timeout = static_cast<unsigned>(absl::ToInt64Milliseconds(options.write_timeout));
  setsockopt(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, &write_timeout, sizeof write_timeout);

  // The library does not ask by itself to be told of alarms, nor that the consumed queue is gone.
  Table capabilities;
  capabilities.Add("connection.blocked", BooleanValue(true));
  capabilities.Add("consumer_cancel_notify", BooleanValue(true));
  Table properties;
  properties.Add("capabilities", capabilities);
  properties.Add("connection_name", TextValue(options.name));
  const amqp_table_t table = properties.get();
  const amqp_rpc_reply_t login =
      amqp_login_with_properties(state->connection, address.virtual_host.c_str(), kChannelsMax, kFrameMax,
                                 static_cast<int>(absl::ToInt64Seconds(options.heartbeat)), &table,
                                 AMQP_SASL_METHOD_PLAIN, address.user.c_str(), address.password.c_str());
  if (absl::Status status = state->Check(login, "logging in"); !status.ok()) return status;
  amqp_channel_open(state->connection, kChannel);
  if (absl::Status status = state->Check(amqp_get_rpc_reply(state->connection), "opening a channel"); !status.ok()) {
    return status;
  }
  return std::unique_ptr<Connection>(new Connection(std::move(state)));
}

absl::Status Connection::DeclareQueue(const std::string& queue, const QueueArguments& arguments) {
  Table table;
  if (arguments.message_ttl) {
    table.Add("x-message-ttl", IntegerValue(absl::ToInt64Milliseconds(*arguments.message_ttl)));
  }
  if (!arguments.dead_letter_queue.empty()) {
    table.Add("x-dead-letter-exchange", TextValue(""));
    table.Add("x-dead-letter-routing-key", TextValue(arguments.dead_letter_queue));
  }
  if (arguments.max_length) table.Add("x-max-length", IntegerValue(*arguments.max_length));
  if (arguments.refuse_when_full) table.Add("x-overflow", TextValue("reject-publish"));
  amqp_queue_declare(state_->connection, kChannel, Bytes(queue), /*passive=*/0, /*durable=*/1, /*exclusive=*/0,
                     /*auto_delete=*/0, table.get());
  return state_->Check(amqp_get_rpc_reply(state_->connection), "declaring " + queue);
}

absl::StatusOr<int64_t> Connection::CountReady(const std::string& queue) {
  const amqp_queue_declare_ok_t* found =
      amqp_queue_declare(state_->connection, kChannel, Bytes(queue), /*passive=*/1, /*durable=*/0, /*exclusive=*/0,
                         /*auto_delete=*/0, amqp_empty_table);
  if (absl::Status status = state_->Check(amqp_get_rpc_reply(state_->connection), "looking at " + queue);
      !status.ok()) {
    return status;
  }
  return found->message_count;
}

absl::Status Connection::SetPrefetch(uint16_t messages) {
  amqp_basic_qos(state_->connection, kChannel, 0, messages, 0);
  return state_->Check(amqp_get_rpc_reply(state_->connection), "setting the prefetch");
}

absl::Status Connection::ConfirmPublishes() {
  amqp_confirm_select(state_->connection, kChannel);
  return state_->Check(amqp_get_rpc_reply(state_->connection), "asking for confirms");
}

absl::Status Connection::Consume(const std::string& queue) {
  amqp_basic_consume(state_->connection, kChannel, Bytes(queue), Bytes("waybill"), /*no_local=*/0, /*no_ack=*/0,
                     /*exclusive=*/0, amqp_empty_table);
  return state_->Check(amqp_get_rpc_reply(state_->connection), "consuming " + queue);
}

absl::Status Connection::StopConsuming() {
  amqp_basic_cancel_t cancel{};
  cancel.consumer_tag = Bytes("waybill");
  cancel.nowait = 1;  // a broker that is silent holds nobody up
  return state_->Check(amqp_send_method(state_->connection, kChannel, AMQP_BASIC_CANCEL_METHOD, &cancel),
                       "consuming no longer");
}

absl::Status Connection::Ack(uint64_t tag, bool multiple) {
  return state_->Check(amqp_basic_ack(state_->connection, kChannel, tag, multiple ? 1 : 0), "an ack");
}

absl::Status Connection::GiveBack(uint64_t tag) {
  return state_->Check(amqp_basic_nack(state_->connection, kChannel, tag, /*multiple=*/0, /*requeue=*/1), "a nack");
}

absl::Status Connection::Publish(const std::string& queue, const Message& message) {
  amqp_basic_properties_t properties{};
  const auto set = [&](amqp_flags_t flag, amqp_bytes_t& into, const std::string& text) {
    if (text.empty()) return;
    properties._flags |= flag;
    into = Bytes(text);
  };
  set(AMQP_BASIC_CONTENT_TYPE_FLAG, properties.content_type, message.content_type);
  set(AMQP_BASIC_CONTENT_ENCODING_FLAG, properties.content_encoding, message.content_encoding);
  set(AMQP_BASIC_CORRELATION_ID_FLAG, properties.correlation_id, message.correlation_id);
  set(AMQP_BASIC_REPLY_TO_FLAG, properties.reply_to, message.reply_to);
  set(AMQP_BASIC_MESSAGE_ID_FLAG, properties.message_id, message.message_id);
  set(AMQP_BASIC_TYPE_FLAG, properties.type, message.type);
  set(AMQP_BASIC_APP_ID_FLAG, properties.app_id, message.app_id);
  properties._flags |= AMQP_BASIC_DELIVERY_MODE_FLAG;
  properties.delivery_mode = message.persistent ? 2 : 1;
  if (message.timestamp) {
    properties._flags |= AMQP_BASIC_TIMESTAMP_FLAG;
    properties.timestamp = static_cast<uint64_t>(std::max<int64_t>(0, absl::ToUnixSeconds(*message.timestamp)));
  }
  if (message.priority) {
    properties._flags |= AMQP_BASIC_PRIORITY_FLAG;
    properties.priority = *message.priority;
  }
  Table headers;
  headers.Add(message.headers);
  if (!message.headers.empty()) {
    properties._flags |= AMQP_BASIC_HEADERS_FLAG;
    properties.headers = headers.get();
  }
  return state_->Check(amqp_basic_publish(state_->connection, kChannel, amqp_empty_bytes, Bytes(queue), /*mandatory=*/1,
                                          /*immediate=*/0, &properties, Bytes(message.body)),
                       "publishing");
}

absl::StatusOr<std::optional<Arrived>> Connection::Get(const std::string& queue) {
  const amqp_rpc_reply_t reply = amqp_basic_get(state_->connection, kChannel, Bytes(queue), /*no_ack=*/0);
  if (absl::Status status = state_->Check(reply, "getting from " + queue); !status.ok()) return status;
  if (reply.reply.id == AMQP_BASIC_GET_EMPTY_METHOD) return std::nullopt;
  const auto& got = Decoded<amqp_basic_get_ok_t>(reply.reply);
  Arrived arrived;
  arrived.tag = got.delivery_tag;
  arrived.redelivered = got.redelivered != 0;
  arrived.routing_key = Text(got.routing_key);
  amqp_message_t message;
  if (absl::Status status = state_->Check(amqp_read_message(state_->connection, kChannel, &message, 0), "reading");
      !status.ok()) {
    return status;
  }
  ReadProperties(message.properties, arrived.message);
  arrived.message.body = Text(message.body);
  arrived.body_bytes = message.body.len;
  amqp_destroy_message(&message);
  amqp_maybe_release_buffers(state_->connection);
  return arrived;
}

absl::StatusOr<std::optional<Event>> Connection::Next() {
  for (;;) {
    if (state_->partial && state_->has_header && state_->bytes_left == 0) {
      std::optional<Event> whole = std::move(state_->partial);
      state_->partial.reset();
      return whole;
    }
    amqp_maybe_release_buffers(state_->connection);  // all that was read before is copied
    amqp_frame_t frame;
    constexpr timeval kNow{};
    const int status = amqp_simple_wait_frame_noblock(state_->connection, &frame, &kNow);
    if (status == AMQP_STATUS_TIMEOUT) return std::nullopt;
    if (status != AMQP_STATUS_OK) return state_->Failed("reading", status);
    if (frame.frame_type == AMQP_FRAME_HEADER && state_->partial) {
      ReadProperties(*static_cast<amqp_basic_properties_t*>(frame.payload.properties.decoded),
                     state_->PartialMessage());
      state_->has_header = true;
      state_->bytes_left = frame.payload.properties.body_size;
      if (auto* arrived = std::get_if<Arrived>(&*state_->partial)) arrived->body_bytes = state_->bytes_left;
      continue;
    }
    if (frame.frame_type == AMQP_FRAME_BODY && state_->partial) {
      const amqp_bytes_t& piece = frame.payload.body_fragment;
      std::string& body = state_->PartialMessage().body;
      body.append(static_cast<const char*>(piece.bytes), std::min(piece.len, state_->body_bytes_max - body.size()));
      state_->bytes_left -= std::min<uint64_t>(state_->bytes_left, piece.len);
      continue;
    }
    if (frame.frame_type != AMQP_FRAME_METHOD) continue;
    const amqp_method_t& method = frame.payload.method;
    switch (method.id) {
      case AMQP_BASIC_DELIVER_METHOD: {
        const auto& deliver = Decoded<amqp_basic_deliver_t>(method);
        state_->partial = Arrived{deliver.delivery_tag, deliver.redelivered != 0, Text(deliver.routing_key), {}, 0};
        state_->has_header = false;
        break;
      }
      case AMQP_BASIC_RETURN_METHOD: {
        const auto& returned = Decoded<amqp_basic_return_t>(method);
        state_->partial = Returned{returned.reply_code, Text(returned.reply_text), {}};
        state_->has_header = false;
        break;
      }
      case AMQP_BASIC_ACK_METHOD: {
        const auto& ack = Decoded<amqp_basic_ack_t>(method);
        return Confirmed{ack.delivery_tag, ack.multiple != 0, true};
      }
      case AMQP_BASIC_NACK_METHOD: {
        const auto& nack = Decoded<amqp_basic_nack_t>(method);
        return Confirmed{nack.delivery_tag, nack.multiple != 0, false};
      }
      case AMQP_BASIC_CANCEL_METHOD:
        return Cancelled{};
      case AMQP_CONNECTION_BLOCKED_METHOD:
        return Blocked{Text(Decoded<amqp_connection_blocked_t>(method).reason)};
      case AMQP_CONNECTION_UNBLOCKED_METHOD:
        return Unblocked{};
      case AMQP_CHANNEL_CLOSE_METHOD:
      case AMQP_CONNECTION_CLOSE_METHOD:
        return state_->ClosedBy(method);
      default:
        break;
    }
  }
}

void Connection::Close() { amqp_connection_close(state_->connection, AMQP_REPLY_SUCCESS); }

int Connection::fd() const { return amqp_get_sockfd(state_->connection); }

bool Connection::CanSend() const {
  pollfd descriptor{fd(), POLLOUT, 0};
  return poll(&descriptor, 1, 0) > 0;
}

void WaitFor(const Connection* connection, bool to_send, int wake, absl::Duration at_most) {
  pollfd descriptors[2] = {{wake, POLLIN, 0}, {-1, 0, 0}};
  if (connection != nullptr) {
    descriptors[1] = {connection->fd(), static_cast<short>(POLLIN | (to_send ? POLLOUT : 0)), 0};
  }
  const int64_t milliseconds = absl::ToInt64Milliseconds(absl::Ceil(at_most, absl::Milliseconds(1)));
  poll(descriptors, 2, static_cast<int>(std::clamp<int64_t>(milliseconds, 0, 60'000)));
}

Wakeup::Wakeup() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (fd_ < 0) {
    std::perror("eventfd");
    std::abort();
  }
}
Wakeup::~Wakeup() { close(fd_); }

void Wakeup::Notify() const {
  constexpr uint64_t kOne = 1;
  [[maybe_unused]] const ssize_t written = write(fd_, &kOne, sizeof kOne);
}

void Wakeup::Clear() const {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = read(fd_, &count, sizeof count);
}

}  // namespace waybill::amqp
