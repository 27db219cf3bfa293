#include "edge/connect/json.h"

#include <memory>
#include <utility>
#include <vector>

#include "domain/reasons.h"
#include "fmt/format.h"
#include "google/protobuf/util/json_util.h"
#include "google/protobuf/util/type_resolver_util.h"
#include "nlohmann/json.hpp"

namespace waybill::connect {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
namespace util = google::protobuf::util;

constexpr char kPrefix[] = "type.googleapis.com";

std::string UrlOf(const std::string& name) { return fmt::format("{}/{}", kPrefix, name); }

// Goes through the text of a message and finds what protobuf would drop without a word.
class Dropped final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Dropped(const Descriptor& message) { levels_.push_back({nullptr, &message}); }

  const std::string& where() const { return where_; }  // a path, like "statuses[0]"; empty: nothing is dropped
  const std::string& what() const { return what_; }
  const std::string& not_json() const { return not_json_; }

  bool null() override {
    const bool in_list = Value() && levels_.back().list;
    return !in_list || Found("is null");
  }
  bool string(string_t& text) override {
    const FieldDescriptor* field = Value();
    if (field == nullptr || field->enum_type() == nullptr || field->enum_type()->FindValueByName(text) != nullptr) {
      return true;
    }
    const bool number = !text.empty() && text.find_first_not_of("-0123456789") == std::string::npos;
    return number || Found("is not a known value");
  }
  bool boolean(bool) override { return Passed(); }
  bool number_integer(number_integer_t) override { return Passed(); }
  bool number_unsigned(number_unsigned_t) override { return Passed(); }
  bool number_float(number_float_t, const string_t&) override { return Passed(); }
  bool binary(binary_t&) override { return Passed(); }

  bool start_object(std::size_t) override {
    if (!std::exchange(begun_, true)) return true;  // the message itself
    const FieldDescriptor* field = Value();
    Level object{nullptr, field == nullptr ? nullptr : field->message_type()};
    object.map = field != nullptr && field->is_map();
    levels_.push_back(object);
    return true;
  }
  bool key(string_t& name) override {
    Level& level = levels_.back();
    level.field = nullptr;
    if (level.message == nullptr) return true;
    if (level.map) {
      level.field = level.message->FindFieldByName("value");
      return true;
    }
    for (int i = 0; i < level.message->field_count() && level.field == nullptr; ++i) {
      const FieldDescriptor* field = level.message->field(i);
      if (field->name() == name || field->json_name() == name) level.field = field;
    }
    return true;
  }
  bool end_object() override {
    if (levels_.size() > 1) levels_.pop_back();
    return true;
  }
  bool start_array(std::size_t) override {
    const FieldDescriptor* field = Value();
    Level list{field, nullptr};
    list.list = true;
    levels_.push_back(list);
    return true;
  }
  bool end_array() override {
    levels_.pop_back();
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& why) override {
    not_json_ = why.what();
    return false;
  }

 private:
  // An object, whose fields are the message's, or a list of a field's values.
  struct Level {
    const FieldDescriptor* field;  // whose value comes; null: one that is passed over
    const Descriptor* message;
    bool map = false;  // then the message is an entry of it
    bool list = false;
    int values = 0;  // that have begun
  };

  const FieldDescriptor* Value() {
    ++levels_.back().values;
    return levels_.back().field;
  }
  bool Passed() {
    Value();
    return true;
  }
  bool Found(const char* what) {
    for (const Level& level : levels_) {
      if (level.list) {
        where_ += fmt::format("[{}]", level.values - 1);
      } else if (level.field != nullptr) {
        where_ += fmt::format("{}{}", where_.empty() ? "" : ".", level.field->name());
      }
    }
    what_ = what;
    return false;
  }

  std::vector<Level> levels_;
  bool begun_ = false;
  std::string where_, what_, not_json_;
};

}  // namespace

class Json::Resolver final : public util::TypeResolver {
 public:
  void Add(const Descriptor& message) {
    const std::string url = UrlOf(message.full_name());
    if (types_.count(url) > 0) return;
    (void)described_->ResolveMessageType(url, &types_[url]);
    for (int i = 0; i < message.field_count(); ++i) {
      const FieldDescriptor& field = *message.field(i);
      if (field.message_type() != nullptr) Add(*field.message_type());
      if (field.enum_type() != nullptr) {
        const std::string of_enum = UrlOf(field.enum_type()->full_name());
        (void)described_->ResolveEnumType(of_enum, &enums_[of_enum]);
      }
    }
  }

  util::Status ResolveMessageType(const std::string& url, google::protobuf::Type* type) override {
    auto known = types_.find(url);
    if (known == types_.end()) return described_->ResolveMessageType(url, type);
    *type = known->second;
    return {};
  }
  util::Status ResolveEnumType(const std::string& url, google::protobuf::Enum* type) override {
    auto known = enums_.find(url);
    if (known == enums_.end()) return described_->ResolveEnumType(url, type);
    *type = known->second;
    return {};
  }

 private:
  const std::unique_ptr<util::TypeResolver> described_{
      util::NewTypeResolverForDescriptorPool(kPrefix, google::protobuf::DescriptorPool::generated_pool())};
  std::map<std::string, google::protobuf::Type> types_;
  std::map<std::string, google::protobuf::Enum> enums_;
};

Json::Json() : resolver_(std::make_unique<Resolver>()) {}
Json::~Json() = default;

void Json::Add(const Descriptor& message) { resolver_->Add(message); }

absl::StatusOr<std::string> Json::ToBytes(const Descriptor& message, std::string_view json) const {
  util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  std::string bytes;
  const util::Status parsed = util::JsonToBinaryString(resolver_.get(), UrlOf(message.full_name()),
                                                       {json.data(), json.size()}, &bytes, options);
  const auto malformed = [&message](std::string_view why) {
    return domain::ReasonError("MALFORMED_REQUEST",
                               fmt::format("the request is not a valid {}: {}", message.full_name(), why));
  };
  if (!parsed.ok()) return malformed(std::string_view(parsed.message().data(), parsed.message().size()));
  Dropped dropped(message);
  if (nlohmann::json::sax_parse(json, &dropped)) return bytes;
  if (!dropped.where().empty()) return domain::BadField(dropped.where(), dropped.what());
  return malformed(dropped.not_json());  // protobuf's parser takes more than JSON
}

absl::StatusOr<std::string> Json::FromBytes(const Descriptor& message, const std::string& bytes) const {
  std::string json;
  const util::Status printed =
      util::BinaryToJsonString(resolver_.get(), UrlOf(message.full_name()), bytes, &json, util::JsonPrintOptions());
  if (printed.ok()) return json;
  return absl::InternalError(
      fmt::format("the answer is not a valid {}: {}", message.full_name(), std::string(printed.message())));
}

}  // namespace waybill::connect
