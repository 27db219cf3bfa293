# A patch that breaks one rule of a source, and a test that has to notice.
#
# waybill_planted_fault(NAME PATCH SOURCES … DEPS …): a program of these sources over DEPS, with the one file that PATCH
# touches compiled from a patched copy. What the library holds of the same file is passed over, since the first definition
# counts; where functions were merged into each other by the compiler, as sanitizers' builds do, that is not so: see
# WAYBILL_PLANTS_FAULTS.
if(NOT WAYBILL_SANITIZE AND NOT CMAKE_BUILD_TYPE)
  set(WAYBILL_PLANTS_FAULTS ON)
else()
  set(WAYBILL_PLANTS_FAULTS OFF)
endif()
set(WAYBILL_APPLY_PATCH ${CMAKE_CURRENT_LIST_DIR}/apply_patch.cmake)

function(waybill_planted_fault name patch)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  file(STRINGS ${patch} touched REGEX "^\\+\\+\\+ b/")
  string(REPLACE "+++ b/" "" touched "${touched}")
  set(patched ${CMAKE_CURRENT_BINARY_DIR}/${name}/${touched})
  add_custom_command(OUTPUT ${patched}
    COMMAND ${CMAKE_COMMAND} -DSOURCE=${PROJECT_SOURCE_DIR}/${touched} -DPATCH=${patch} -DPATCHED=${patched}
            -P ${WAYBILL_APPLY_PATCH}
    DEPENDS ${PROJECT_SOURCE_DIR}/${touched} ${patch} ${WAYBILL_APPLY_PATCH})
  add_executable(${name} ${patched} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE waybill_options waybill_test_options ${ARG_DEPS})
  target_link_options(${name} PRIVATE -Wl,-z,muldefs)
endfunction()

# waybill_notices(NAME PROGRAM PATCH LABEL): a test that has to fail in PROGRAM. The patch says which, and in which words,
# before its diff:
#
#   Noticed by: <a GoogleTest filter>
#   As: <words of the failure>
function(waybill_notices name program patch label)
  file(STRINGS ${patch} by REGEX "^Noticed by: ")
  file(STRINGS ${patch} as REGEX "^As: ")
  string(REPLACE "Noticed by: " "" by "${by}")
  string(REPLACE "As: " "" as "${as}")
  add_test(NAME ${name} COMMAND ${program} --gtest_filter=${by})
  set_tests_properties(${name} PROPERTIES LABELS ${label} TIMEOUT 300 PASS_REGULAR_EXPRESSION "${as}")
endfunction()
