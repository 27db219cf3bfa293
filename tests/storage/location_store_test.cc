#include "storage/testing/fake_location_store.h"
#include "tests/storage/location_contract.h"

namespace waybill::storage {
namespace {

class FakeWorld final : public LocationWorld {
 public:
  LocationLog& log() override { return store_; }
  LocationHistory& history() override { return store_; }

 private:
  testing::FakeLocationStore store_;
};

INSTANTIATE_TEST_SUITE_P(Fake, LocationContract, ::testing::Values([]() -> std::unique_ptr<LocationWorld> {
                           return std::make_unique<FakeWorld>();
                         }));

}  // namespace
}  // namespace waybill::storage
