// Loading: packages, what can be wrong with them, verification.
#include "runtime/abi/LibrarySeal.h"
#include "test/runtime/core/CoreFixture.h"

#include <cstring>
#include <random>

using namespace fake;
namespace fs = std::filesystem;

namespace {

#if defined(__aarch64__)
const std::string kArch = "aarch64";
#else
const std::string kArch = "x86_64";
#endif

std::string readFile(const fs::path &path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

/// A package folder around one of the libraries that the build made.
class LoadTest : public ::testing::Test {
protected:
  LoadTest() {
    addLibrary("fake");
    writeFile(weights, weightsFile());
  }
  fs::path library(const std::string &name = "fake") {
    return package / "lib" / kArch / ("lib" + name + ".so");
  }
  void addLibrary(const std::string &built, const std::string &name = "fake") {
    fs::create_directories(library().parent_path());
    fs::copy_file(fs::path(VLMC_FAKE_LIBRARIES) / ("lib" + built + ".so"),
                  library(name), fs::copy_options::overwrite_existing);
  }
  vlm_status_t *load(const vlm_load_options_t *options = nullptr) {
    vlm_model_t *loaded = nullptr;
    vlm_status_t *status = vlm_model_load(package.c_str(), options, &loaded);
    EXPECT_EQ(loaded == nullptr, status != nullptr);
    model.reset(loaded);
    return status;
  }
  std::string inPackage() {
    return "compiled model '" + package.string() + "': ";
  }
  std::string inLibrary() { return "library '" + library().string() + "': "; }
  std::string inWeights() {
    return "weights file '" + weights.string() + "': ";
  }
  std::string expectedLibrary() {
    return inPackage() + "expected one library libNAME.so in lib/" + kArch +
           ", found ";
  }

  TemporaryFolder folder;
  fs::path package = folder.path / "renamed.vlm";
  fs::path weights = package / "fake.weights";
  Model model{nullptr, vlm_model_destroy};
};

} // namespace

TEST_F(LoadTest, LoadsAndRuns) {
  ASSERT_OK(load());
  EXPECT_STREQ(vlm_model_abi(model.get())->name, "fake");
  EXPECT_EQ(std::string(vlm_model_isa(model.get())).empty(), false);
  size_t bytes = 0;
  const void *data = vlm_model_weights(model.get(), &bytes);
  ASSERT_EQ(bytes, weightsFile().size());
  EXPECT_EQ(std::memcmp(data, weightsFile().data(), bytes), 0);
  EXPECT_GE(vlm_pool_threads(vlm_model_pool(model.get())), 1);

  std::vector<float> x(kWidth, 0.5f), y(kWidth);
  vlm_tensor_t input = tensor("x", x, {1, kWidth});
  vlm_tensor_t output = tensor("y", y, {});
  const vlm_entry_t *chain = nullptr;
  ASSERT_OK(vlm_model_entry(model.get(), "chain", &chain));
  ASSERT_OK(vlm_entry_run(chain, &input, 1, &output, 1));
  EXPECT_EQ(y, x);
}

TEST_F(LoadTest, SharesTheDefaultPool) {
  ASSERT_OK(load());
  Model first = std::move(model);
  ASSERT_OK(load());
  EXPECT_EQ(vlm_model_pool(first.get()), vlm_model_pool(model.get()));
}

TEST_F(LoadTest, RefusesBadArguments) {
  vlm_model_t *out = nullptr;
  EXPECT_FAILS(vlm_model_load(nullptr, nullptr, &out), VLM_INVALID_ARGUMENT,
               "vlm_model_load: 'path' must not be NULL");
  EXPECT_FAILS(vlm_model_load("x", nullptr, nullptr), VLM_INVALID_ARGUMENT,
               "vlm_model_load: 'out_model' must not be NULL");
  EXPECT_FAILS(vlm_model_load_linked(nullptr, "x", nullptr, &out),
               VLM_INVALID_ARGUMENT,
               "vlm_model_load_linked: 'model' must not be NULL");
  vlm_load_options_t options{3, nullptr};
  EXPECT_FAILS(load(&options), VLM_INVALID_ARGUMENT,
               "load options: 'struct_bytes' must be "
               "sizeof(vlm_load_options_t), 48, found 3");
  options = {sizeof options, nullptr, static_cast<vlm_image_backend_t>(3)};
  EXPECT_FAILS(load(&options), VLM_INVALID_ARGUMENT,
               "load options: 'image_backend' must be a value of "
               "vlm_image_backend_t (0 to 2), found 3");
  options = {sizeof options, nullptr, VLM_IMAGE_BACKEND_DEFAULT, nullptr, -2};
  EXPECT_FAILS(load(&options), VLM_INVALID_ARGUMENT,
               "load options: 'picture_cache_bytes' must be -1 or more, found "
               "-2");
}

TEST_F(LoadTest, RefusesMissingParts) {
  fs::remove(weights);
  EXPECT_FAILS(load(), VLM_NOT_FOUND,
               inWeights() + "no such file; copy the whole .vlm directory, or "
                             "compile the model again");
  fs::remove(library());
  EXPECT_FAILS(load(), VLM_NOT_FOUND,
               expectedLibrary() + "none; copy the whole .vlm directory, or "
                                   "compile the model again");
  fs::remove_all(package);
  EXPECT_FAILS(load(), VLM_NOT_FOUND,
               inPackage() + "no such directory; give the path of the "
                             "directory that `vlmc compile` wrote");
  writeFile(package, "");
  EXPECT_FAILS(load(), VLM_NOT_FOUND,
               inPackage() + "expected the directory that `vlmc compile` "
                             "writes, found a file");
}

TEST_F(LoadTest, RefusesSeveralLibraries) {
  addLibrary("fake", "other");
  EXPECT_FAILS(load(), VLM_INCOMPATIBLE,
               expectedLibrary() + "libfake.so, libother.so; keep one compiled "
                                   "model per directory");
}

TEST_F(LoadTest, RefusesPackageOfAnotherMachine) {
  fs::rename(package / "lib" / kArch, package / "lib" / "riscv64");
  EXPECT_FAILS(load(), VLM_INCOMPATIBLE,
               expectedLibrary() + "only code for riscv64; compile with a "
                                   "--target for this machine");
}

TEST_F(LoadTest, RefusesWhatIsNoLibrary) {
  std::string bytes = readFile(library());
  writeFile(library(), "no library");
  EXPECT_FAILS(load(), VLM_CORRUPT,
               inLibrary() + "not a 64-bit ELF library; copy it again, or "
                             "compile the model again");
  writeFile(library(), bytes.substr(0, bytes.size() / 2));
  vlm_code_t code;
  std::string message = take(load(), &code);
  EXPECT_EQ(code, VLM_CORRUPT);
  EXPECT_TRUE(message.starts_with(inLibrary() + "truncated: expected at least"))
      << message;
}

TEST_F(LoadTest, RefusesLibraryWithoutItsSeal) {
  std::string bytes = readFile(library());
  size_t size = bytes.size() - sizeof(vlmc::LibrarySeal);
  std::string message =
      inLibrary() + "expected at its end the checksum that `vlmc compile` "
                    "writes, found none; it is damaged, or was changed (as "
                    "strip does), or an older vlmc wrote it: copy it again, or "
                    "compile the model again";
  writeFile(library(), bytes.substr(0, size));
  EXPECT_FAILS(load(), VLM_CORRUPT, message);
  writeFile(library(), bytes + " ");
  EXPECT_FAILS(load(), VLM_CORRUPT, message);
}

TEST_F(LoadTest, RefusesDamagedLibrary) {
  std::string bytes = readFile(library());
  size_t size = bytes.size() - sizeof(vlmc::LibrarySeal);
  std::string damaged = bytes;
  damaged[size / 2] ^= 1;
  writeFile(library(), damaged);
  char expected[17], found[17];
  std::snprintf(
      expected, sizeof expected, "%016llx",
      static_cast<unsigned long long>(vlmc::crc64(bytes.data(), size)));
  std::snprintf(
      found, sizeof found, "%016llx",
      static_cast<unsigned long long>(vlmc::crc64(damaged.data(), size)));
  std::string length = std::to_string(size) + " bytes with CRC-64 ";
  EXPECT_FAILS(load(), VLM_CORRUPT,
               inLibrary() + "damaged: expected " + length + expected +
                   ", found " + length + found +
                   "; copy it again, or compile the model again");
  // Bits of the ELF header, of the seal, and of what lies between.
  std::vector<size_t> bits;
  for (size_t bit = 0; bit < 64 * 8; bit += 5)
    bits.push_back(bit);
  for (size_t bit = size * 8; bit < bytes.size() * 8; bit += 5)
    bits.push_back(bit);
  std::mt19937_64 random(1);
  for (int i = 0; i < 100; ++i)
    bits.push_back(random() % (size * 8));
  for (size_t bit : bits) {
    damaged = bytes;
    damaged[bit / 8] ^= char(1 << bit % 8);
    writeFile(library(), damaged);
    vlm_code_t code;
    std::string message = take(load(), &code);
    EXPECT_EQ(code, VLM_CORRUPT) << bit << ": " << message;
    EXPECT_TRUE(message.starts_with(inLibrary())) << bit << ": " << message;
  }
}

TEST_F(LoadTest, RefusesLibraryOfAnotherName) {
  fs::rename(library(), library("other"));
  EXPECT_FAILS(load(), VLM_INCOMPATIBLE,
               "library '" + library("other").string() +
                   "': expected the symbol 'other_vlm_model', found none; the "
                   "file is no compiled model or was renamed, compile the "
                   "model again");
}

TEST_F(LoadTest, RefusesAnotherInterface) {
  addLibrary("fakeAbi");
  EXPECT_FAILS(load(), VLM_INCOMPATIBLE,
               inLibrary() + "expected binary interface version " +
                   std::to_string(VLM_ABI_VERSION) +
                   ", found 99; "
                   "compile the model with the vlmc of this runtime");
  addLibrary("fakeStruct");
  EXPECT_FAILS(load(), VLM_INCOMPATIBLE,
               inLibrary() + "expected a model table of " +
                   std::to_string(sizeof(vlm_abi_model)) +
                   " bytes, found 8; "
                   "compile the model with the vlmc of this runtime");
  addLibrary("fakeKernel");
  EXPECT_FAILS(load(), VLM_INCOMPATIBLE,
               inLibrary() + "entry point 'score' has invalid tables at step 0 "
                             "('project'); compile the model again");
}

TEST_F(LoadTest, RefusesUnsupportedInstructionSet) {
  addLibrary("fakeIsa");
  EXPECT_FAILS(load(), VLM_INCOMPATIBLE,
               inLibrary() +
                   "compiled for x86-64-v9, x86-64-v8, which this machine's "
                   "CPU or operating system does not support; compile with a "
                   "--target that it does");
}

TEST_F(LoadTest, RunsTheLevelThatIsAskedFor) {
  addLibrary("fake");
  ASSERT_OK(load());
  std::string best = vlm_model_isa(model.get());
  vlm_load_options_t options{};
  options.struct_bytes = sizeof options;
  options.isa = best.c_str();
  ASSERT_OK(load(&options));
  EXPECT_EQ(vlm_model_isa(model.get()), best);
  options.isa = "x86-64-v9";
  EXPECT_FAILS(load(&options), VLM_INCOMPATIBLE,
               inLibrary() +
                   "compiled for x86-64-v9, which this machine's CPU or "
                   "operating system does not support; compile with a "
                   "--target that it does");
  options.isa = "mips";
  EXPECT_FAILS(load(&options), VLM_NOT_FOUND,
               inLibrary() +
                   "expected code for 'mips', as the load options ask, found "
                   "x86-64-v9, " +
                   best +
                   "; ask for one of them, or compile with that --target");
}

TEST_F(LoadTest, RefusesTruncatedWeights) {
  std::string bytes = weightsFile();
  for (size_t size : {size_t(0), size_t(7), size_t(100), bytes.size() - 1}) {
    writeFile(weights, bytes.substr(0, size));
    EXPECT_FAILS(load(), VLM_CORRUPT,
                 inWeights() + "expected 960 bytes, found " +
                     std::to_string(size) +
                     "; copy it again, or compile the model again");
  }
  writeFile(weights, bytes + " ");
  EXPECT_FAILS(load(), VLM_CORRUPT,
               inWeights() + "expected 960 bytes, found 961; copy it again, or "
                             "compile the model again");
}

TEST_F(LoadTest, RefusesDamagedWeightsHeader) {
  std::string bytes = weightsFile();
  bytes[8] = '[';
  writeFile(weights, bytes);
  EXPECT_FAILS(load(), VLM_CORRUPT,
               inWeights() + "the header is damaged: expected '{' at byte 8; "
                             "copy the file again, or compile the model "
                             "again");
  bytes = weightsFile();
  bytes[bytes.find("384]")] = '9';
  writeFile(weights, bytes);
  EXPECT_FAILS(load(), VLM_CORRUPT,
               inWeights() +
                   "the header is damaged: expected tensors up to byte 960, "
                   "found 1560; copy the file again, or compile the model "
                   "again");
}

TEST_F(LoadTest, RefusesWeightsOfAnotherCompilation) {
  std::string bytes = weightsFile();
  bytes[bytes.find("table")] = 'T';
  writeFile(weights, bytes);
  vlm_code_t code;
  std::string message = take(load(), &code);
  EXPECT_EQ(code, VLM_INCOMPATIBLE);
  EXPECT_TRUE(message.starts_with(
      inWeights() + "is damaged or belongs to another compilation: expected "
                    "960 bytes with header SHA-256 "))
      << message;
  EXPECT_TRUE(message.ends_with(
      "; keep library and weights of one compilation together, or compile the "
      "model again"))
      << message;
}

TEST_F(LoadTest, RefusesWeightsThatAreNoFile) {
  fs::remove(weights);
  fs::create_directory(weights);
  EXPECT_FAILS(load(), VLM_IO,
               inWeights() + "expected a regular file; copy it again, or "
                             "compile the model again");
}

TEST_F(LoadTest, VerifiesWeights) {
  ASSERT_OK(load());
  EXPECT_OK(vlm_model_verify(model.get()));

  std::string bytes = weightsFile();
  bytes[bytes.size() - 1] ^= 1;
  writeFile(weights, bytes);
  ASSERT_OK(load()); // only the header is read
  vlm_code_t code;
  std::string message = take(vlm_model_verify(model.get()), &code);
  EXPECT_EQ(code, VLM_CORRUPT);
  EXPECT_TRUE(
      message.starts_with(inWeights() + "tensor 'table': expected SHA-256 "))
      << message;

  bytes[bytes.size() - 257] ^= 1; // and the tensor before it: the first is told
  writeFile(weights, bytes);
  ASSERT_OK(load());
  message = take(vlm_model_verify(model.get()));
  EXPECT_TRUE(
      message.starts_with(inWeights() + "tensor 'W': expected SHA-256 "))
      << message;
}
