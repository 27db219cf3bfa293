// The bytes of a file, unpacked where they are packed. Used inside tracks/ only.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "tracks/track_source.h"

namespace waybill::tracks {

// Of a file, or of standard input for "-". What was compressed comes out plain, one gzip member behind the other; what
// was not comes out as it is. Whatever stands behind a member and is neither another nor padding of zeros is
// INVALID_ARGUMENT, as what breaks off or cannot be unpacked is; what came before is given out first. NOT_FOUND says
// why it cannot be opened.
absl::StatusOr<std::unique_ptr<ByteSource>> OpenBytes(const std::string& path);

}  // namespace waybill::tracks
