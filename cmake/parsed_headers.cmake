# Headers of others that are parsed once a preset and not once a file. CLI11 and nlohmann/json are left out, since what they
# instantiate is compiled into every file that only sees them (findings/gxx-precompiled-header-is-instantiated-per-file.sh).
# A source still includes what it uses; clang-tidy, which does without these, holds it.
set(waybill_headers
    <algorithm> <array> <atomic> <charconv> <chrono> <condition_variable> <cstdint> <deque> <filesystem> <fstream>
    <functional> <iostream> <map> <memory> <mutex> <optional> <random> <set> <span> <sstream> <string> <string_view>
    <thread> <unordered_map> <utility> <variant> <vector>
    <absl/container/flat_hash_map.h> <absl/container/flat_hash_set.h> <absl/functional/any_invocable.h>
    <absl/status/status.h> <absl/status/statusor.h> <absl/time/clock.h> <absl/time/time.h>
    <fmt/format.h>
    <prometheus/counter.h> <prometheus/gauge.h> <prometheus/histogram.h> <prometheus/registry.h>)
set(waybill_grpc_headers <grpcpp/grpcpp.h> <grpcpp/alarm.h> <grpcpp/generic/async_generic_service.h>
    <grpcpp/ext/proto_server_reflection_plugin.h>)
set(waybill_test_headers <gmock/gmock.h> <gtest/gtest.h>)

# One set of headers; `name` is what waybill_parsed_headers takes.
function(waybill_parse name)
  cmake_parse_arguments(ARG "" "" "HEADERS;DEPS" ${ARGN})
  set(source ${PROJECT_BINARY_DIR}/parsed/${name}.cc)
  file(CONFIGURE OUTPUT ${source} CONTENT "")
  add_library(waybill_parsed_${name} OBJECT ${source})
  target_link_libraries(waybill_parsed_${name} PRIVATE waybill_options absl::any_invocable absl::flat_hash_map
    absl::flat_hash_set absl::status absl::statusor absl::time fmt::fmt prometheus-cpp::core
    ${ARG_DEPS})
  target_precompile_headers(waybill_parsed_${name} PRIVATE ${ARG_HEADERS})
endfunction()

function(waybill_parsed_headers target)
  set(name plain)
  if(ARGN)
    set(name ${ARGN})
  endif()
  target_precompile_headers(${target} REUSE_FROM waybill_parsed_${name})
endfunction()

waybill_parse(plain HEADERS ${waybill_headers})
if(WAYBILL_GRPC)
  waybill_parse(grpc HEADERS ${waybill_headers} ${waybill_grpc_headers} DEPS gRPC::grpc++ gRPC::grpc++_reflection)
endif()
if(WAYBILL_TESTS)
  waybill_parse(tests HEADERS ${waybill_headers} ${waybill_test_headers} DEPS waybill_test_options GTest::gtest GTest::gmock)
  if(WAYBILL_GRPC)
    waybill_parse(grpc_tests HEADERS ${waybill_headers} ${waybill_grpc_headers} ${waybill_test_headers}
                  DEPS waybill_test_options gRPC::grpc++ gRPC::grpc++_reflection GTest::gtest GTest::gmock)
  endif()
endif()
