# cmake -DBUILD=<Waybill's build folder> -DSOURCE=<this folder> -DWORK=<scratch> -DCOMPILER=<c++> -P install_and_build.cmake
# Installs what Waybill's users get into a fresh prefix, then configures, builds and runs a project that uses it.
file(REMOVE_RECURSE ${WORK})
function(run)
  execute_process(COMMAND ${ARGV} COMMAND_ERROR_IS_FATAL ANY)
endfunction()
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix --component waybill_development)
run(${CMAKE_COMMAND} -S ${SOURCE} -B ${WORK}/build -G Ninja -DCMAKE_PREFIX_PATH=${WORK}/prefix
    -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_EXPORT_COMPILE_COMMANDS=ON)
run(${CMAKE_COMMAND} --build ${WORK}/build)
run(${WORK}/build/refuel)
run(${WORK}/build/refuel_test)

# Nothing of the checkout may be needed, and none of our warnings imposed.
file(READ ${WORK}/build/compile_commands.json commands)
if(commands MATCHES "-I(${BUILD}|${SOURCE}/..)" OR commands MATCHES "-Wshadow")
  message(FATAL_ERROR "the consumer was compiled with our own folders or warnings:\n${commands}")
endif()
execute_process(COMMAND readelf -d ${WORK}/build/refuel_test OUTPUT_VARIABLE libraries COMMAND_ERROR_IS_FATAL ANY)
if(libraries MATCHES "grpc|protobuf|libpq|hiredis")
  message(FATAL_ERROR "the consumer is linked with more than it needs:\n${libraries}")
endif()
