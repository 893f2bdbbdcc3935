//===- DriverFixture.h - A device of the stand-in for the driver ----------===//
//
//   class GraphTest : public DriverFixture {};
//   TEST_F(GraphTest, ...) { start("cuGraphLaunch:1"); ... }
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TEST_RUNTIME_CUDA_DRIVERFIXTURE_H
#define VLMC_TEST_RUNTIME_CUDA_DRIVERFIXTURE_H

#include "runtime/cuda/Driver.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <dlfcn.h>

namespace vlmc::rt::cuda {

class DriverFixture : public testing::Test {
protected:
  void TearDown() override {
    device.reset();
    unsetenv("VLMC_EMULATOR_FAIL");
  }

  /// A device anew; these calls fail, "cuMemAlloc:3".
  void start(const char *failures = "") {
    device.reset();
    setenv("VLMC_EMULATOR_FAIL", failures, 1);
    void *library = dlopen(VLMC_EMULATED_CUDA, RTLD_NOW | RTLD_LOCAL);
    ASSERT_TRUE(library) << dlerror();
    reinterpret_cast<void (*)()>(dlsym(library, "vlmc_emulated_reset"))();
    std::string whyNot;
    device = Device::open(VLMC_EMULATED_CUDA, whyNot);
    ASSERT_TRUE(device) << whyNot;
  }

  /// The message of a status, "" for success.
  static std::string textOf(vlm_status_t *status) {
    std::string text = status ? vlm_status_message(status) : "";
    vlm_status_destroy(status);
    return text;
  }

  std::shared_ptr<Device> device;
};

} // namespace vlmc::rt::cuda

#endif // VLMC_TEST_RUNTIME_CUDA_DRIVERFIXTURE_H
