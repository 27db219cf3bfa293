# cmake -DSOURCE=FOLDER -DCOMMIT=ID -DVERSION=X.Y.Z -DOUTPUT=FILE -P write_build.cmake: writes waybill_build's source. An empty
# COMMIT asks git. SOURCE in a repository of somebody else's, as an unpacked archive may be, is outside of git.
if(NOT COMMIT)
  execute_process(COMMAND git -C ${SOURCE} rev-parse --show-prefix
                  OUTPUT_VARIABLE prefix OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed ERROR_QUIET)
  if("${failed}" STREQUAL "0" AND prefix STREQUAL "")
    execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12 --exclude=*
                    OUTPUT_VARIABLE COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  endif()
endif()
if(NOT COMMIT)
  set(COMMIT unknown)
elseif(NOT COMMIT MATCHES "^[0-9a-f]+(-dirty)?$" AND NOT COMMIT STREQUAL "unknown")
  message(FATAL_ERROR "WAYBILL_COMMIT is ${COMMIT}: it has to be hexadecimal digits, perhaps with -dirty behind them")
endif()
file(WRITE ${OUTPUT}.new "#include \"runtime/build.h\"\n
namespace waybill {\n
Build ThisBuild() { return {\"${VERSION}\", \"${COMMIT}\"}; }\n
}  // namespace waybill\n")
file(COPY_FILE ${OUTPUT}.new ${OUTPUT} ONLY_IF_DIFFERENT)
