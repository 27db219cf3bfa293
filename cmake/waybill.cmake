# One place for how every target of this project is compiled.
add_library(waybill_options INTERFACE)
# Our warnings are for ourselves: who uses the installed package chooses theirs. subobject-linkage means nothing for sources
# that are compiled together.
set(warnings -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Werror=return-type -Wno-unused-parameter
             -Wno-missing-field-initializers -Wno-subobject-linkage)
target_compile_options(waybill_options INTERFACE "$<BUILD_INTERFACE:${warnings}>")
target_compile_features(waybill_options INTERFACE cxx_std_20)
target_include_directories(waybill_options INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>
                                                     $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/waybill>)
if(WAYBILL_SANITIZE)
  target_compile_options(waybill_options INTERFACE -fsanitize=${WAYBILL_SANITIZE} -fno-omit-frame-pointer
                                                   -fno-sanitize-recover=all)
  target_link_options(waybill_options INTERFACE -fsanitize=${WAYBILL_SANITIZE})
endif()
# The compiler collects its own garbage from 128 MB on, and our files need several hundred: an eighth of its time. It may take
# a GB first.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(waybill_options INTERFACE "$<BUILD_INTERFACE:SHELL:--param ggc-min-heapsize=1048576>")
endif()
# gold links in a third of the time, which is a minute of two cores over all tests. The presets that are tested ask for it.
option(WAYBILL_GOLD "Link with gold where there is one" OFF)
if(WAYBILL_GOLD)
  include(CheckLinkerFlag)
  check_linker_flag(CXX -fuse-ld=gold WAYBILL_HAS_GOLD)
  if(WAYBILL_HAS_GOLD)
    target_link_options(waybill_options INTERFACE $<BUILD_INTERFACE:-fuse-ld=gold>)
  endif()
endif()
if(WAYBILL_FUZZ)
  target_compile_options(waybill_options INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(waybill_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(WAYBILL_FAILPOINTS)
  target_compile_definitions(waybill_options INTERFACE WAYBILL_FAILPOINTS=1)
endif()

# What is compiled for the tests alone, after waybill_options. Most of their build's time went into optimising it, and with
# the sanitizers into checks of every pointer on top, half of the time again: a null pointer of a test's own stops it
# anyway. What ships is compiled in full.
add_library(waybill_test_options INTERFACE)
target_compile_options(waybill_test_options INTERFACE -O0)
if(WAYBILL_SANITIZE MATCHES undefined)
  target_compile_options(waybill_test_options INTERFACE -fno-sanitize=alignment,null,object-size,vptr)
endif()

# waybill_library(NAME SOURCES... [DEPS...] [PARSED grpc|tests]): one static library for a folder. PARSED names the headers
# that are parsed beforehand (cmake/parsed_headers.cmake); without it those that need no gRPC.
function(waybill_library name)
  cmake_parse_arguments(ARG "" "PARSED" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC waybill_options ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS})
  waybill_parsed_headers(${name} ${ARG_PARSED})
endfunction()

# waybill_program(NAME SOURCES... DEPS...): a binary that ships; all of them speak gRPC and say what was built.
function(waybill_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE waybill_options waybill_build ${ARG_DEPS})
  waybill_parsed_headers(${name} grpc)
endfunction()

# waybill_server(NAME): what every busy gRPC process is linked with besides. gRPC allocates on one thread and frees on
# another all day, which jemalloc does with less work than glibc (docs/performance.md).
function(waybill_server name)
  if(TARGET PkgConfig::JEMALLOC)
    target_link_libraries(${name} PRIVATE PkgConfig::JEMALLOC)
  endif()
endfunction()

# waybill_test(NAME SOURCES... DEPS... [LABELS...] [TIMEOUT s] [COST s] [PARSED grpc_tests]): the suffix of NAME says what it
# needs: _test nothing, _pgtest a Postgres, _redistest a Redis, _amqptest a RabbitMQ, _e2etest the built binaries. COST is how long it takes,
# about; those that take longest begin first, so that none is left to run alone.
function(waybill_test name)
  cmake_parse_arguments(ARG "" "COST;PARSED;TIMEOUT" "SOURCES;DEPS;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE waybill_options waybill_test_options ${ARG_DEPS} GTest::gtest GTest::gmock
                        GTest::gtest_main)
  if(NOT ARG_PARSED)
    set(ARG_PARSED tests)
  endif()
  if(NOT ARG_COST)
    set(ARG_COST 1)
  endif()
  waybill_parsed_headers(${name} ${ARG_PARSED})
  string(REGEX MATCH "(pgtest|redistest|amqptest|e2etest|test)$" kind ${name})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)  # for what hangs, on a slow machine under a sanitizer
  endif()
  add_test(NAME ${name} COMMAND ${name})
  if(WAYBILL_SANITIZE MATCHES thread)
    set_tests_properties(${name} PROPERTIES
      ENVIRONMENT "TSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/tsan.supp")
  elseif(WAYBILL_SANITIZE MATCHES address)
    set_tests_properties(${name} PROPERTIES
      ENVIRONMENT "LSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/lsan.supp:print_suppressions=0")
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${kind};${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT} COST ${ARG_COST})
endfunction()
