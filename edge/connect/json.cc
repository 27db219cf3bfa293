#include "edge/connect/json.h"

#include <memory>

#include "domain/reasons.h"
#include "fmt/format.h"
#include "google/protobuf/util/json_util.h"
#include "google/protobuf/util/type_resolver_util.h"

namespace waybill::connect {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
namespace util = google::protobuf::util;

constexpr char kPrefix[] = "type.googleapis.com";

std::string UrlOf(const std::string& name) { return fmt::format("{}/{}", kPrefix, name); }

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
  if (parsed.ok()) return bytes;
  return domain::ReasonError("MALFORMED_REQUEST", fmt::format("the request is not a valid {}: {}", message.full_name(),
                                                              std::string(parsed.message())));
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
