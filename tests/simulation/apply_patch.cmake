# Copies SOURCE to PATCHED and applies PATCH to it. Where that fails, the copy says so to whoever compiles it.
configure_file(${SOURCE} ${PATCHED} COPYONLY)
execute_process(COMMAND patch --silent --no-backup-if-mismatch --reject-file=- ${PATCHED} ${PATCH}
                RESULT_VARIABLE failed OUTPUT_VARIABLE why ERROR_VARIABLE why)
if(failed)
  file(WRITE ${PATCHED} "#error \"${PATCH} no longer applies to ${SOURCE}: make it anew (CONTRIBUTING.md says how)\"\n")
  message(WARNING "${why}")
endif()
