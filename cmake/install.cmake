# Installs the binaries, and the package `waybill` with waybill::saga and waybill::saga_testing.
