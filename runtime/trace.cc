#include "runtime/trace.h"

#include <algorithm>
#include <cstring>

#include "absl/container/inlined_vector.h"

namespace waybill {
namespace {

constexpr char kHexDigits[] = "0123456789abcdef";

void AppendHex(std::string& out, std::span<const uint8_t> bytes) {
  for (const uint8_t byte : bytes) out += {kHexDigits[byte >> 4], kHexDigits[byte & 0xf]};
}

std::string Hex(std::span<const uint8_t> bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  AppendHex(text, bytes);
  return text;
}

// Lower case only: -1 of anything else.
int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

bool TakeHex(std::string_view text, std::span<uint8_t> bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    const int high = HexDigit(text[2 * i]), low = HexDigit(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    bytes[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return true;
}

template <typename Id>
void PutRandom(Id& id, Random& random) {
  do {
    for (size_t at = 0; at < id.bytes.size(); at += sizeof(uint64_t)) {
      const uint64_t bits = random.Next();
      std::memcpy(id.bytes.data() + at, &bits, sizeof bits);
    }
  } while (!id.valid());
}

bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsKeyCharacter(char c) { return IsLower(c) || IsDigit(c) || c == '_' || c == '-' || c == '*' || c == '/'; }

// simple-key, or tenant-id "@" system-id.
bool IsStateKey(std::string_view key) {
  constexpr size_t kSimpleMax = 256, kTenantMax = 241, kSystemMax = 14;
  const size_t at = key.find('@');
  const std::string_view first = key.substr(0, at);
  const bool tenant = at != std::string_view::npos;
  if (first.empty() || first.size() > (tenant ? kTenantMax : kSimpleMax)) return false;
  if (!IsLower(first.front()) && !(tenant && IsDigit(first.front()))) return false;
  if (!std::all_of(first.begin(), first.end(), IsKeyCharacter)) return false;
  if (!tenant) return true;
  const std::string_view system = key.substr(at + 1);
  return !system.empty() && system.size() <= kSystemMax && IsLower(system.front()) &&
         std::all_of(system.begin(), system.end(), IsKeyCharacter);
}

bool IsStateValue(std::string_view value) {
  const auto fits = [](char c) { return c >= ' ' && c <= '~' && c != ',' && c != '='; };
  return !value.empty() && value.size() <= 256 && value.back() != ' ' && std::all_of(value.begin(), value.end(), fits);
}

std::string_view WithoutBlanks(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

constexpr size_t kTraceAt = 3, kSpanAt = 36, kFlagsAt = 53, kTraceparentSize = 55;

}  // namespace

std::string TraceId::ToString() const { return Hex(bytes); }
std::string SpanId::ToString() const { return Hex(bytes); }

std::string TraceContext::Traceparent() const {
  std::string text;
  text.reserve(kTraceparentSize);
  text += "00-";
  AppendHex(text, trace_id.bytes);
  text += '-';
  AppendHex(text, span_id.bytes);
  text += sampled ? "-01" : "-00";
  return text;
}

std::optional<TraceContext> ParseTraceparent(std::string_view traceparent) {
  if (traceparent.size() < kTraceparentSize) return std::nullopt;
  std::array<uint8_t, 1> version, flags;
  TraceContext context;
  if (!TakeHex(traceparent, version) || version[0] == 0xff) return std::nullopt;
  if (version[0] == 0 && traceparent.size() != kTraceparentSize) return std::nullopt;
  if (traceparent.size() > kTraceparentSize && traceparent[kTraceparentSize] != '-') return std::nullopt;
  if (traceparent[kTraceAt - 1] != '-' || traceparent[kSpanAt - 1] != '-' || traceparent[kFlagsAt - 1] != '-') {
    return std::nullopt;
  }
  if (!TakeHex(traceparent.substr(kTraceAt), context.trace_id.bytes) ||
      !TakeHex(traceparent.substr(kSpanAt), context.span_id.bytes) || !TakeHex(traceparent.substr(kFlagsAt), flags)) {
    return std::nullopt;
  }
  if (!context.valid()) return std::nullopt;
  context.sampled = (flags[0] & 1) != 0;
  return context;
}

std::string_view TraceIdOf(std::string_view traceparent) {
  if (!ParseTraceparent(traceparent)) return {};
  return traceparent.substr(kTraceAt, 32);
}

std::string JoinTracestate(std::span<const std::string_view> fields) {
  constexpr size_t kMembersMax = 32;
  absl::InlinedVector<std::string_view, 8> keys;
  std::string joined;
  for (std::string_view rest : fields) {
    while (!rest.empty()) {
      const size_t comma = std::min(rest.find(','), rest.size());
      const std::string_view member = WithoutBlanks(rest.substr(0, comma));
      rest.remove_prefix(std::min(comma + 1, rest.size()));
      if (member.empty()) continue;
      const size_t equals = member.find('=');
      if (equals == std::string_view::npos) return "";
      const std::string_view key = member.substr(0, equals);
      if (!IsStateKey(key) || !IsStateValue(member.substr(equals + 1))) return "";
      if (std::find(keys.begin(), keys.end(), key) != keys.end() || keys.size() == kMembersMax) return "";
      if (joined.size() + member.size() + 1 > kTracestateBytesMax) return "";
      keys.push_back(key);
      if (!joined.empty()) joined += ',';
      joined += member;
    }
  }
  return joined;
}

// --- Spans.

Span& Span::operator=(Span&& other) noexcept {
  if (this == &other) return *this;
  End();
  tracer_ = std::exchange(other.tracer_, nullptr);
  context_ = std::move(other.context_);
  start_ = other.start_;
  record_ = std::move(other.record_);
  parent_ = other.parent_;
  name_ = other.name_;
  kind_ = other.kind_;
  return *this;
}

void Span::Set(std::string_view key, AttributeValue value) {
  if (record_) record_->attributes.emplace_back(key, std::move(value));
}

void Span::Link(const TraceContext& to) {
  if (record_) record_->links.push_back(to);
}

void Span::Fail(std::string why) {
  if (tracer_ == nullptr) return;
  if (!record_) {
    if (name_.empty()) return;  // a part of something that is not sampled
    if (!tracer_->TakesFailure(name_)) return tracer_->sink_.LeftOut();
    record_ = std::make_unique<SpanRecord>();
    record_->parent = parent_;
    record_->name = name_;
    record_->kind = kind_;
  }
  record_->failed = true;
  record_->failure = std::move(why);
}

void Span::End() {
  Tracer* tracer = std::exchange(tracer_, nullptr);
  if (tracer == nullptr || !record_) return;
  // By the steady clock how long, by the wall clock when.
  record_->end = tracer->clock_.Now();
  record_->start = record_->end - (tracer->clock_.Steady() - start_);
  record_->context = context_;
  tracer->sink_.Take(std::move(*record_));
  record_.reset();
}

void Span::Drop() {
  record_.reset();
  tracer_ = nullptr;
}

bool Tracer::TakesFailure(std::string_view name) {
  Budget& budget = budgets_[std::hash<std::string_view>()(name) % budgets_.size()];
  const int64_t second = absl::ToUnixSeconds(clock_.Now());
  if (budget.second.exchange(second, std::memory_order_relaxed) != second)
    budget.used.store(0, std::memory_order_relaxed);
  return budget.used.fetch_add(1, std::memory_order_relaxed) < kFailuresASecond;
}

Span Tracer::Enter(std::string_view name, SpanKind kind, const TraceContext& caller) {
  Span span;
  span.tracer_ = this;
  span.start_ = clock_.Steady();
  span.name_ = name;
  span.kind_ = kind;
  if (caller.valid()) {
    span.context_ = caller;
    span.parent_ = caller.span_id;
  } else {
    PutRandom(span.context_.trace_id, random_);
    span.context_.sampled = Sampled(span.context_.trace_id);
  }
  span.context_.span_id = NewSpanId();
  if (!span.context_.sampled) return span;
  span.record_ = std::make_unique<SpanRecord>();
  span.record_->parent = span.parent_;
  span.record_->name = name;
  span.record_->kind = kind;
  return span;
}

Span Tracer::Begin(std::string_view name, SpanKind kind) {
  TraceContext root;
  PutRandom(root.trace_id, random_);
  root.sampled = true;
  return Child(name, kind, root, NewSpanId());
}

Span Tracer::Child(std::string_view name, SpanKind kind, const TraceContext& parent) {
  return Child(name, kind, parent, parent.sampled ? NewSpanId() : SpanId());
}

Span Tracer::Child(std::string_view name, SpanKind kind, const TraceContext& parent, const SpanId& id) {
  Span span;
  span.context_ = parent;
  if (!parent.sampled) return span;
  span.tracer_ = this;
  span.start_ = clock_.Steady();
  span.context_.span_id = id;
  span.record_ = std::make_unique<SpanRecord>();
  span.record_->parent = parent.span_id;
  span.record_->name = name;
  span.record_->kind = kind;
  return span;
}

bool Tracer::Sampled(const TraceId& trace) const {
  const double ratio = ratio_.load(std::memory_order_relaxed);
  if (ratio >= 1) return true;
  // The last seven bytes are those that have to be random (level 2, section 3.2.2.3).
  uint64_t last = 0;
  for (size_t i = 9; i < trace.bytes.size(); ++i) last = last << 8 | trace.bytes[i];
  return static_cast<double>(last) < ratio * 0x1.0p56;
}

SpanId Tracer::NewSpanId() {
  SpanId id;
  PutRandom(id, random_);
  return id;
}

}  // namespace waybill
