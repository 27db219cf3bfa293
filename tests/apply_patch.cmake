# Copies SOURCE to PATCHED and applies PATCH to it, to the very lines that it names. Where that fails, so does the build.
configure_file(${SOURCE} ${PATCHED} COPYONLY)
execute_process(COMMAND patch --silent --fuzz=0 --no-backup-if-mismatch --reject-file=- ${PATCHED} ${PATCH}
                RESULT_VARIABLE failed OUTPUT_VARIABLE why ERROR_VARIABLE why)
if(failed)
  file(REMOVE ${PATCHED})
  message(FATAL_ERROR "${PATCH} no longer applies to ${SOURCE}: make it anew (CONTRIBUTING.md says how)\n${why}")
endif()
