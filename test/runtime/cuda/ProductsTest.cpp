//===- ProductsTest.cpp - Own products or a library's ---------------------===//
//
// A stand-in for cuBLASLt and own launches that take a wished time; both work
// when the stream comes to them.
//
//===----------------------------------------------------------------------===//
#include "runtime/cuda/Products.h"
#include "test/runtime/cuda/DriverFixture.h"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

namespace vlmc::rt::cuda {
namespace {

namespace fs = std::filesystem;

uint16_t toHalf(float x) {
  auto half = static_cast<_Float16>(x);
  uint16_t bits = 0;
  std::memcpy(&bits, &half, sizeof bits);
  return bits;
}
float fromHalf(uint16_t bits) {
  _Float16 half = 0;
  std::memcpy(&half, &bits, sizeof half);
  return static_cast<float>(half);
}

/// What own launches stand for: a product by the CPU, after a pause.
struct OwnJob {
  std::function<void()> work;
};

class ProductsTest : public DriverFixture {
protected:
  void SetUp() override {
    setenv("VLMC_FAKE_CUBLASLT_DRIVER", VLMC_EMULATED_CUDA, 1);
    file = fs::path(testing::TempDir()) /
           ("products-" + std::to_string(getpid()) + ".txt");
    fs::remove(file);
    start(failures);
    // Memory of the device is open to the host here.
    context = std::make_unique<ContextScope>(*device);
    ASSERT_EQ(device->api().streamCreate(&stream, besideNull), success);
    void *driver = dlopen(VLMC_EMULATED_CUDA, RTLD_NOW | RTLD_NOLOAD);
    submit = reinterpret_cast<Submit>(dlsym(driver, "cuLaunchHostFunc"));
    ASSERT_TRUE(submit);
    fill();
  }
  void TearDown() override {
    unsetenv("VLMC_FAKE_CUBLASLT_FAIL");
    products.reset();
    for (Pointer block : blocks)
      device->api().free(block);
    blocks.clear();
    device->api().streamDestroy(stream);
    context.reset();
    fs::remove(file);
    DriverFixture::TearDown();
  }

  template <typename T> Pointer take(const std::vector<T> &values) {
    Pointer made = 0;
    EXPECT_EQ(device->api().allocate(&made, values.size() * sizeof(T)),
              success);
    std::memcpy(reinterpret_cast<void *>(made), values.data(),
                values.size() * sizeof(T));
    blocks.push_back(made);
    return made;
  }

  void fill() {
    std::mt19937 random(1);
    std::uniform_real_distribution<float> uniform(-1, 1);
    auto halves = [&](int64_t count) {
      std::vector<uint16_t> values;
      for (int64_t i = 0; i < count; ++i)
        values.push_back(toHalf(uniform(random)));
      return values;
    };
    shape = {.rows = 5,
             .columns = 16,
             .depth = 24,
             .leftStride = 32,
             .hasBias = true};
    left = halves(5 * 32);
    right = halves(16 * 24);
    residual = halves(5 * 16);
    bias.clear();
    for (int i = 0; i < 16; ++i)
      bias.push_back(uniform(random));
    places = {take(left), take(right), take(bias), take(residual),
              take(std::vector<uint16_t>(5 * 16, 0xffff))};
  }

  /// The library of these settings, with failures.
  void open(const char *failure = "") {
    setenv("VLMC_FAKE_CUBLASLT_FAIL", failure, 1);
    products = std::make_unique<Products>(
        *device, Products::Settings{VLMC_FAKE_CUBLASLT, file, kernels});
  }

  float expected(int64_t m, int64_t n) const {
    float sum = bias[size_t(n)];
    for (int64_t k = 0; k < shape.depth; ++k)
      sum += fromHalf(left[size_t(m * shape.leftStride + k)]) *
             fromHalf(right[size_t(n * shape.depth + k)]);
    if (shape.activation == VLM_ABI_PRODUCT_RELU)
      sum = std::max(sum, 0.0F);
    if (shape.activation == VLM_ABI_PRODUCT_GELU)
      sum = 0.5F * sum *
            (1 + std::tanh(0.79788456F * (sum + 0.044715F * sum * sum * sum)));
    if (shape.hasResidual)
      sum += fromHalf(residual[size_t(m * shape.columns + n)]);
    return sum;
  }

  /// One run whose own launches take so long.
  std::string run(int ownMilliseconds, bool mayMeasure = true) {
    auto own = [&]() -> vlm_status_t * {
      auto *job = new OwnJob{[this, ownMilliseconds] {
        std::this_thread::sleep_for(std::chrono::milliseconds(ownMilliseconds));
        auto *result = reinterpret_cast<uint16_t *>(places.result);
        for (int64_t m = 0; m < shape.rows; ++m)
          for (int64_t n = 0; n < shape.columns; ++n)
            result[m * shape.columns + n] = toHalf(expected(m, n));
      }};
      auto work = [](void *data) { static_cast<OwnJob *>(data)->work(); };
      submit(stream, work, job);
      return nullptr;
    };
    std::string text =
        textOf(products->run(shape, places, stream, mayMeasure, own));
    EXPECT_EQ(device->api().streamWait(stream), success);
    return text;
  }

  void expectResult() {
    const auto *result = reinterpret_cast<uint16_t *>(places.result);
    for (int64_t m = 0; m < shape.rows; ++m)
      for (int64_t n = 0; n < shape.columns; ++n)
        ASSERT_NEAR(fromHalf(result[m * shape.columns + n]), expected(m, n),
                    0.01)
            << m << ", " << n;
  }

  using Submit = int (*)(void *, void (*)(void *), void *);
  const char *failures = "";
  std::string file, kernels = "cuda-sm-80-1";
  std::unique_ptr<ContextScope> context;
  std::unique_ptr<Products> products;
  Stream *stream = nullptr;
  Submit submit = nullptr;
  ProductShape shape;
  ProductPlaces places;
  std::vector<uint16_t> left, right, residual;
  std::vector<float> bias;
  std::vector<Pointer> blocks;
};

/// The library is faster: it makes the next ones, with every epilogue it has.
TEST_F(ProductsTest, TakeTheFasterOne) {
  open();
  ASSERT_TRUE(products->isOpen()) << products->whyNot();
  uint64_t made = 0;
  for (uint32_t activation :
       {VLM_ABI_PRODUCT_PLAIN, VLM_ABI_PRODUCT_RELU, VLM_ABI_PRODUCT_GELU}) {
    shape.activation = activation;
    EXPECT_EQ(run(20), "");
    expectResult();
    EXPECT_EQ(run(20), "");
    expectResult();
    EXPECT_EQ(products->counters().library, ++made);
  }
  shape.activation = VLM_ABI_PRODUCT_PLAIN;
  shape.hasResidual = true;
  EXPECT_EQ(run(20), "");
  EXPECT_EQ(run(20), "");
  expectResult();
  EXPECT_EQ(products->counters().library, made + 1);
  EXPECT_EQ(products->counters().measured, 4U);
  EXPECT_EQ(products->counters().own, 0U);
}

TEST_F(ProductsTest, TakeTheOwnOneWhereItIsFaster) {
  open("slow");
  EXPECT_EQ(run(0), "");
  EXPECT_EQ(run(0), "");
  expectResult();
  EXPECT_EQ(products->counters().own, 1U);
  EXPECT_EQ(products->counters().library, 0U);
}

/// A fast library that is wrong, gives NaNs, knows no such product, or fails
/// later.
TEST_F(ProductsTest, TakeTheOwnOneWhereTheLibraryFails) {
  for (const char *failure : {"wrong", "nan", "heuristic", "multiply"}) {
    SCOPED_TRACE(failure);
    fs::remove(file);
    open(failure);
    EXPECT_EQ(run(5), "");
    EXPECT_EQ(run(5), "");
    expectResult();
    EXPECT_EQ(products->counters().library, 0U);
  }
  fs::remove(file);
  open();
  EXPECT_EQ(run(20), "");
  setenv("VLMC_FAKE_CUBLASLT_FAIL", "multiply", 1);
  EXPECT_EQ(run(0), "");
  expectResult();
  EXPECT_EQ(products->counters().own, 1U);
}

TEST_F(ProductsTest, ALibraryThatIsNone) {
  open("create");
  EXPECT_FALSE(products->isOpen());
  EXPECT_EQ(products->whyNot(), "cuBLASLt does not start: error 1");
  EXPECT_EQ(run(0), "");
  expectResult();
  Products wrong(*device, {"libm.so.6", ""});
  EXPECT_EQ(wrong.whyNot(),
            "'libm.so.6' has no cublasLtCreate; it is no cuBLASLt");
  Products none(*device, {"no-such-library.so", ""});
  EXPECT_NE(none.whyNot().find("there is no cuBLASLt: no-such-library.so: "),
            std::string::npos)
      << none.whyNot();
  EXPECT_EQ(Products::settingsOf(*device, "cuda:sm_80").library, "none");
}

/// While a graph is recorded nothing is measured; what is known is used.
TEST_F(ProductsTest, NothingIsMeasuredWhileAGraphIsRecorded) {
  open();
  EXPECT_EQ(run(20, /*mayMeasure=*/false), "");
  EXPECT_EQ(products->counters().measured, 0U);
  EXPECT_EQ(products->counters().own, 1U);
  EXPECT_EQ(run(20), "");
  EXPECT_EQ(run(20, /*mayMeasure=*/false), "");
  EXPECT_EQ(products->counters().library, 1U);
  expectResult();
}

/// A residual in the place of the result is added once.
TEST_F(ProductsTest, AResultInItsResidualsPlaceIsNotMadeTwice) {
  open();
  shape.hasResidual = true;
  places.residual = places.result;
  EXPECT_EQ(run(20), "");
  EXPECT_EQ(products->counters().measured, 0U);
  EXPECT_EQ(products->counters().own, 1U);
}

/// Another process reads what was found; a damaged file or one of another
/// library is as none.
TEST_F(ProductsTest, ChoicesAreKept) {
  open();
  EXPECT_EQ(run(20), "");
  open();
  EXPECT_EQ(run(20), "");
  expectResult();
  EXPECT_EQ(products->counters().measured, 0U);
  EXPECT_EQ(products->counters().library, 1U);
  std::string line, known;
  {
    std::ifstream in(file);
    std::getline(in, line);
    std::getline(in, known);
  }
  EXPECT_TRUE(line.ends_with(" cuda-sm-80-1")) << line;
  EXPECT_TRUE(known.ends_with(" end")) << known;
  // Beside the file nothing is left.
  for (const auto &entry : fs::directory_iterator(fs::path(file).parent_path()))
    EXPECT_FALSE(entry.path().string().starts_with(file + ".")) << entry;
  EXPECT_NE(line.find("vlmc-gpu-products 2 "), std::string::npos);
  EXPECT_NE(line.find(" 139999"), std::string::npos);
  for (const std::string &damage :
       {line + "\n1 2 3\nx\n", line + "x\n" + known + "\n",
        // The last number is cut short.
        line + "\n" + known.substr(0, known.size() - 4) + "\n",
        std::string("vlmc-gpu-products 2 other 0 0\n")}) {
    std::ofstream(file) << damage;
    open();
    EXPECT_EQ(run(20), "");
    EXPECT_EQ(products->counters().measured, 1U);
  }
}

/// The left side may begin within rows, at 16 bytes.
TEST_F(ProductsTest, TheLibraryIsToldOfTheLeftSidesAlignment) {
  std::vector<uint16_t> shifted(left.size() + 8);
  std::copy(left.begin(), left.end(), shifted.begin() + 8);
  places.left = take(shifted) + 16;
  ASSERT_NE(places.left % 256, 0U);
  open();
  EXPECT_EQ(run(20), "");
  EXPECT_EQ(run(20), "");
  expectResult();
  EXPECT_EQ(products->counters().library, 1U);
}

/// Own stores end at f16's range, a library's at infinity.
TEST_F(ProductsTest, ResultsNearTheEndOfF16AreTheOwnLaunches) {
  shape.hasBias = true;
  auto *values = reinterpret_cast<float *>(places.bias);
  bias[3] = values[3] = 9000;
  open();
  EXPECT_EQ(run(20), "");
  EXPECT_EQ(run(20), "");
  EXPECT_EQ(products->counters().library, 0U);
  EXPECT_EQ(products->counters().own, 1U);
}

/// What failed, or had no room, is tried again.
TEST_F(ProductsTest, FailuresThatPassAreNoChoices) {
  // The working memory, the bias in 16 bits and its copy; the comparison.
  for (const char *failure :
       {"cuMemAlloc:6", "cuMemAlloc:7", "cuMemcpyHtoDAsync:1:1",
        "cuMemcpyDtoHAsync:2:1"}) {
    SCOPED_TRACE(failure);
    TearDown();
    failures = failure;
    SetUp();
    open();
    bool isTold = std::string(failure).starts_with("cuMemcpyDtoH");
    EXPECT_EQ(run(20).empty(), !isTold);
    EXPECT_FALSE(fs::exists(file));
    EXPECT_EQ(products->counters().own, isTold ? 0U : 1U);
    EXPECT_EQ(run(20), "");
    EXPECT_EQ(run(20), "");
    expectResult();
    EXPECT_EQ(products->counters().library, 1U);
  }
}

} // namespace
} // namespace vlmc::rt::cuda
