//===-- Support.h - what the emulator's tests share -----------------------===//
//
//   Device<float> x(values);          // a buffer that check mode knows
//   Kernels kernels("warp.ll");       // a module of test/emulator/inputs
//   EXPECT_EQ(kernels.run("shuffles", {.block = {32}}, x.pointer()), "");
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TEST_EMULATOR_SUPPORT_H
#define VLMC_TEST_EMULATOR_SUPPORT_H

#include "test/emulator/Emulator.h"
#include "test/emulator/Half.h"
#include "gtest/gtest.h"
#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <random>
#include <sstream>
#include <vector>

namespace vlmc::emulator {

/// Memory that a kernel may touch, NaNs at first.
template <typename T> class Device {
public:
  explicit Device(size_t count) : values(count + pad) {
    memset(values.data(), 0xff, values.size() * sizeof(T));
    Buffers::add(data(), count * sizeof(T));
    size = count;
  }
  explicit Device(const std::vector<T> &given) : Device(given.size()) {
    std::copy(given.begin(), given.end(), data());
  }
  ~Device() { Buffers::remove(data()); }
  Device(const Device &) = delete;
  Device &operator=(const Device &) = delete;

  T *data() {
    auto at = reinterpret_cast<uintptr_t>(values.data());
    return reinterpret_cast<T *>((at + 127) / 128 * 128);
  }
  T operator[](size_t i) { return data()[i]; }
  void *pointer() { return data(); }
  std::vector<T> all() { return {data(), data() + size}; }

private:
  static constexpr size_t pad = 4096 / sizeof(T);
  std::vector<T> values;
  size_t size = 0;
};

inline std::string readInput(const std::string &name) {
  std::ifstream file(VLMC_SOURCE_DIR "/test/emulator/inputs/" + name);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

class Kernels {
public:
  explicit Kernels(const std::string &file, const Options &options = {}) {
    module = Module::load(readInput(file), options, error);
    EXPECT_TRUE(module) << error;
  }

  /// The message of a launch, "" where it went well.
  template <typename... T>
  std::string run(const std::string &kernel, const Launch &launch,
                  T... arguments) {
    std::vector<void *> pointers = {static_cast<void *>(&arguments)...};
    std::string message;
    module->launch(kernel, launch, pointers.data(), message, &kind);
    return message;
  }

  std::unique_ptr<Module> module;
  std::string error;
  FaultKind kind = FaultKind::None;
};

/// Small values, the same for a seed.
inline std::vector<float> randomFloats(size_t count, uint32_t seed) {
  std::mt19937 generator(seed);
  std::vector<float> values(count);
  for (float &value : values)
    value = static_cast<float>(generator() % 2001) / 1000.0F - 1.0F;
  return values;
}

inline std::vector<uint16_t> toHalf(std::vector<float> &values) {
  std::vector<uint16_t> bits;
  for (float &value : values) {
    bits.push_back(floatToHalf(value));
    value = halfToFloat(bits.back());
  }
  return bits;
}

inline std::vector<uint16_t> toBrain(std::vector<float> &values) {
  std::vector<uint16_t> bits;
  for (float &value : values) {
    bits.push_back(floatToBrain(value));
    value = brainToFloat(bits.back());
  }
  return bits;
}

} // namespace vlmc::emulator

#endif // VLMC_TEST_EMULATOR_SUPPORT_H
