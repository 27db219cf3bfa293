# Installs the binaries (components order, ingest, ledger, race, realtime, cli, sandbox and bench), and the package `waybill` with waybill::saga and waybill::saga_testing
# (component waybill_development). The package needs no gRPC, no Postgres and no Redis.
include(CMakePackageConfigHelpers)

if(WAYBILL_GRPC)
  install(TARGETS waybill RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT cli)
  foreach(component order ingest ledger race realtime sandbox bench)
    install(TARGETS waybill-${component} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT ${component})
  endforeach()
endif()

set_target_properties(waybill_options PROPERTIES EXPORT_NAME options)
set_target_properties(waybill_runtime PROPERTIES EXPORT_NAME runtime)
set_target_properties(waybill_domain PROPERTIES EXPORT_NAME domain)
set_target_properties(waybill_saga PROPERTIES EXPORT_NAME saga)
set_target_properties(waybill_saga_testing PROPERTIES EXPORT_NAME saga_testing)
add_library(waybill::saga ALIAS waybill_saga)
add_library(waybill::saga_testing ALIAS waybill_saga_testing)

install(TARGETS waybill_options waybill_runtime waybill_domain waybill_saga waybill_saga_testing EXPORT waybill
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT waybill_development)
install(DIRECTORY runtime domain saga DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/waybill COMPONENT waybill_development
        FILES_MATCHING PATTERN "*.h")

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/waybill)
install(EXPORT waybill NAMESPACE waybill:: FILE waybill-targets.cmake DESTINATION ${package_folder}
        COMPONENT waybill_development)
configure_package_config_file(cmake/waybill-config.cmake.in ${PROJECT_BINARY_DIR}/waybill-config.cmake
                              INSTALL_DESTINATION ${package_folder} NO_SET_AND_CHECK_MACRO)
# Before 1.0 a minor version may break its users.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/waybill-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/waybill-config.cmake ${PROJECT_BINARY_DIR}/waybill-config-version.cmake
        DESTINATION ${package_folder} COMPONENT waybill_development)
