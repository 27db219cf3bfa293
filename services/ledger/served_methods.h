// What waybill-ledger serves.
#pragma once

#include <string>
#include <vector>

namespace waybill::ledger {

// "package.Service/Method" of all that a limit can be about.
std::vector<std::string> ServedMethods();

}  // namespace waybill::ledger
