// In what a repetition differs from what its id or key stands for.
#pragma once

#include <string>
#include <string_view>

namespace waybill::order {

// Names of fields, with commas between: metadata `fields` of the errors that refuse one.
class Differing {
 public:
  Differing& If(bool differs, std::string_view field) {
    if (!differs) return *this;
    if (!fields_.empty()) fields_ += ',';
    fields_ += field;
    return *this;
  }
  bool empty() const { return fields_.empty(); }
  const std::string& fields() const { return fields_; }

 private:
  std::string fields_;
};

}  // namespace waybill::order
