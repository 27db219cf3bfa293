# waybill_build: says what was built, from which commit (runtime/build.h). At each build git is asked; the library's one source
# is written anew only when the answer differs, and only programs link it.
set(WAYBILL_COMMIT "" CACHE STRING "The commit that is built, for where git cannot be asked")
set(source ${PROJECT_BINARY_DIR}/build.cc)
set(write ${CMAKE_COMMAND} -DSOURCE=${PROJECT_SOURCE_DIR} -DCOMMIT=${WAYBILL_COMMIT} -DVERSION=${PROJECT_VERSION} -DOUTPUT=${source}
          -P ${CMAKE_CURRENT_LIST_DIR}/write_build.cmake)
add_custom_target(waybill_commit COMMAND ${write} BYPRODUCTS ${source} COMMENT "Asking git which commit this is" VERBATIM)
waybill_library(waybill_build SOURCES ${source} DEPS fmt::fmt)
add_dependencies(waybill_build waybill_commit)
