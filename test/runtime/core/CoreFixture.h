// CoreFixture.h: what the tests of libvlm share: a temporary folder, statuses
// as text, tensors over vectors.
#ifndef VLMC_TEST_RUNTIME_CORE_COREFIXTURE_H
#define VLMC_TEST_RUNTIME_CORE_COREFIXTURE_H

#include "runtime/vlm.h"
#include "test/runtime/core/FakeModel.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <unistd.h>
#include <vector>

namespace fake {

/// The message of a status, "" if it is none; frees it.
inline std::string take(vlm_status_t *status, vlm_code_t *outCode = nullptr) {
  std::string message = vlm_status_message(status);
  if (outCode)
    *outCode = vlm_status_code(status);
  vlm_status_destroy(status);
  return message;
}

#define EXPECT_OK(call) EXPECT_EQ(fake::take(call), "")
#define ASSERT_OK(call) ASSERT_EQ(fake::take(call), "")
#define EXPECT_FAILS(call, wantedCode, wantedMessage)                          \
  do {                                                                         \
    vlm_code_t code_;                                                          \
    EXPECT_EQ(fake::take(call, &code_), wantedMessage);                        \
    EXPECT_EQ(code_, wantedCode);                                              \
  } while (false)

inline void writeFile(const std::filesystem::path &path,
                      const std::string &bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

/// A folder that is gone after the test.
class TemporaryFolder {
public:
  TemporaryFolder() {
    std::string name = ::testing::TempDir() + "vlmcXXXXXX";
    path = mkdtemp(name.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

template <typename T> constexpr vlm_dtype_t dtypeOf();
template <> constexpr vlm_dtype_t dtypeOf<float>() { return VLM_F32; }
template <> constexpr vlm_dtype_t dtypeOf<int64_t>() { return VLM_I64; }
template <> constexpr vlm_dtype_t dtypeOf<int32_t>() { return VLM_I32; }
template <> constexpr vlm_dtype_t dtypeOf<uint8_t>() { return VLM_U8; }

template <typename T>
vlm_tensor_t tensor(const char *name, std::vector<T> &data,
                    const std::vector<int64_t> &dims) {
  vlm_tensor_t result{};
  result.name = name;
  result.dtype = dtypeOf<T>();
  result.rank = int(dims.size());
  for (size_t i = 0; i < dims.size() && i < VLM_MAX_RANK; ++i)
    result.dims[i] = dims[i];
  result.data = data.data();
  result.bytes = data.size() * sizeof(T);
  return result;
}

using Model = std::unique_ptr<vlm_model_t, decltype(&vlm_model_destroy)>;
using Pool = std::unique_ptr<vlm_pool_t, decltype(&vlm_pool_destroy)>;

inline Pool makePool(int threads) {
  vlm_pool_t *pool = nullptr;
  EXPECT_OK(vlm_pool_create(threads, &pool));
  return Pool(pool, vlm_pool_destroy);
}

/// The fake model, linked, over a weights file of its own.
class FakeTest : public ::testing::Test {
protected:
  FakeTest() { writeFile(weightsPath, weightsFile()); }

  Model load(vlm_pool_t *pool = nullptr) {
    vlm_load_options_t options{sizeof(vlm_load_options_t), pool};
    vlm_model_t *loaded = nullptr;
    EXPECT_OK(
        vlm_model_load_linked(model(), weightsPath.c_str(), &options, &loaded));
    return Model(loaded, vlm_model_destroy);
  }
  const vlm_entry_t *entry(const Model &model, const char *name) {
    const vlm_entry_t *found = nullptr;
    EXPECT_OK(vlm_model_entry(model.get(), name, &found));
    return found;
  }

  TemporaryFolder folder;
  std::string weightsPath = folder.path / "fake.weights";
};

} // namespace fake

#endif // VLMC_TEST_RUNTIME_CORE_COREFIXTURE_H
