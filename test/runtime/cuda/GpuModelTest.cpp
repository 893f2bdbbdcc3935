//===- GpuModelTest.cpp - Runs of a model on a GPU, and their graphs ------===//
//
// A level written by hand: out = (x * a) * b, element by element, over any
// number of rows; up to two rows by another function than more.
//
//===----------------------------------------------------------------------===//
#include "runtime/cuda/GpuModel.h"
#include "test/runtime/cuda/DriverFixture.h"

#include <cstring>
#include <thread>

namespace vlmc::rt::cuda {
namespace {

constexpr int64_t width = 32;

/// y[row, i] = x[row, i] w[i], one block a row; `few` adds 1000 to it.
constexpr const char *code = R"(
declare i32 @llvm.nvvm.read.ptx.sreg.tid.x()
declare i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
define void @scale(ptr %x, ptr %w, ptr %y, float %more) {
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %b = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
  %r = mul i32 %b, 32
  %i = add i32 %r, %t
  %px = getelementptr float, ptr %x, i32 %i
  %pw = getelementptr float, ptr %w, i32 %t
  %py = getelementptr float, ptr %y, i32 %i
  %vx = load float, ptr %px, align 4
  %vw = load float, ptr %pw, align 4
  %p = fmul float %vx, %vw
  %v = fadd float %p, %more
  store float %v, ptr %py, align 4
  ret void
}
define ptx_kernel void @many(ptr %x, ptr %w, ptr %y, i64 %rows) {
  call void @scale(ptr %x, ptr %w, ptr %y, float 0.0)
  ret void
}
define ptx_kernel void @few(ptr %x, ptr %w, ptr %y, i64 %rows) {
  call void @scale(ptr %x, ptr %w, ptr %y, float 1000.0)
  ret void
}
)";

/// The tables of the level, which point at each other.
struct Tables {
  Tables() {
    const std::string header =
        R"({"a":{"dtype":"F32","shape":[32],"data_offsets":[0,128]},)"
        R"("b":{"dtype":"F32","shape":[32],"data_offsets":[128,256]}})";
    uint64_t length = header.size();
    weights.resize(8 + length + 256);
    std::memcpy(weights.data(), &length, 8);
    std::memcpy(weights.data() + 8, header.data(), length);
    for (int i = 0; i < 2 * width; ++i) {
      float value = i < width ? 2 : 3;
      std::memcpy(weights.data() + 8 + length + size_t(i) * 4, &value, 4);
    }
    first[1].offset = 8 + length;
    second[1].offset = 8 + length + 128;
  }

  std::vector<unsigned char> weights;
  vlm_abi_symbol symbol{"rows", 1, 1, 64};
  vlm_abi_term rowTerm{.coefficient = 1, .powers = {1}};
  vlm_abi_term oneTerm{.coefficient = 1};
  vlm_abi_term slotTerm{.coefficient = 4 * width, .powers = {1}};
  vlm_abi_size rows{&rowTerm, 1}, slotSize{&slotTerm, 1};
  vlm_abi_size grid[3] = {{&rowTerm, 1}, {&oneTerm, 1}, {&oneTerm, 1}};
  vlm_abi_max_size slot{&slotSize, 1};
  vlm_abi_launch launches[2] = {{.function = "few",
                                 .grid = grid,
                                 .units = {1, 1, 1},
                                 .threads = width,
                                 .max_rows = 2},
                                {.function = "many",
                                 .grid = grid,
                                 .units = {1, 1, 1},
                                 .threads = width,
                                 .min_rows = 3}};
  vlm_abi_buffer first[3] = {
      {VLM_ABI_INPUT, 0, 0}, {VLM_ABI_WEIGHT, 0, 0}, {VLM_ABI_SLOT, 0, 0}};
  vlm_abi_buffer second[3] = {
      {VLM_ABI_SLOT, 0, 0}, {VLM_ABI_WEIGHT, 0, 0}, {VLM_ABI_OUTPUT, 0, 0}};
  vlm_abi_step steps[2] = {{.label = "one",
                            .buffers = first,
                            .dims = &rows,
                            .n_operands = 2,
                            .n_results = 1,
                            .launches = launches,
                            .n_launches = 2},
                           {.label = "two",
                            .buffers = second,
                            .dims = &rows,
                            .n_operands = 2,
                            .n_results = 1,
                            .launches = launches,
                            .n_launches = 2}};
  vlm_abi_tensor input{.name = "x", .rank = 2}, output{.name = "y", .rank = 2};
  vlm_abi_entry entry{.name = "forward",
                      .symbols = &symbol,
                      .inputs = &input,
                      .outputs = &output,
                      .slots = &slot,
                      .steps = steps,
                      .n_symbols = 1,
                      .n_inputs = 1,
                      .n_outputs = 1,
                      .n_slots = 1,
                      .n_steps = 2};
  vlm_abi_kernel kernel{.n_buffers = 3, .n_dims = 1};
  vlm_abi_code text{VLM_ABI_CODE_BITCODE, 0, code, std::strlen(code)};
  vlm_abi_device device{&text, 1, 8, 0, 0};
  vlm_abi_level level{"cuda:test", &kernel, &entry, 1, 1, &device};
};

class GpuModelTest : public DriverFixture {
protected:
  void TearDown() override {
    model.reset();
    DriverFixture::TearDown();
  }

  void load(const char *failures = "") {
    model.reset();
    start(failures);
    ASSERT_EQ(textOf(GpuModel::load(device, tables.level, tables.weights.data(),
                                    tables.weights.size(), model)),
              "");
  }
  void awaitWeights() {
    while (!model->isLoaded())
      std::this_thread::yield();
  }

  /// Runs on rows of `x` and checks the result.
  std::string run(int64_t rows, float x) {
    std::vector<float> in(size_t(rows * width), x), out(in.size(), -1);
    std::string text = textOf(
        model->run(tables.entry, &rows, {{in.data(), in.size() * 4, nullptr}},
                   {{out.data(), out.size() * 4, nullptr}}));
    if (!text.empty())
      return text;
    float expected = rows <= 2 ? (x * 2 + 1000) * 3 + 1000 : x * 6;
    EXPECT_EQ(out, std::vector<float>(in.size(), expected));
    return "";
  }

  Tables tables;
  std::unique_ptr<GpuModel> model;
};

TEST_F(GpuModelTest, RepeatedRunsAreOneGraph) {
  load();
  awaitWeights();
  for (float x = 1; x <= 5; ++x)
    EXPECT_EQ(run(4, x), "");
  EXPECT_EQ(model->counters().plainRuns, 1U);
  EXPECT_EQ(model->counters().recorded, 1U);
  EXPECT_EQ(model->counters().replays, 4U);
  EXPECT_EQ(model->counters().failed, 0U);
}

TEST_F(GpuModelTest, EachNumberOfRowsHasAGraphOfItsOwn) {
  load();
  awaitWeights();
  // The most rows first: they make the room for all others.
  for (int64_t rows : {8, 1, 2, 3})
    for (float x = 1; x <= 3; ++x)
      EXPECT_EQ(run(rows, x), "");
  EXPECT_EQ(model->counters().recorded, 4U);
  for (int64_t rows : {3, 8, 1})
    EXPECT_EQ(run(rows, 7), "");
  EXPECT_EQ(model->counters().recorded, 4U);
  EXPECT_EQ(model->counters().replays, 4U * 2 + 3);
  // More room means other addresses: all graphs are made anew.
  for (float x = 1; x <= 2; ++x)
    EXPECT_EQ(run(64, x), "");
  EXPECT_EQ(run(8, 2), "");
  EXPECT_EQ(model->counters().recorded, 5U);
}

/// What needs a little more each time, as chats do, finds room.
TEST_F(GpuModelTest, RoomGrowsByHalf) {
  load();
  awaitWeights();
  EXPECT_EQ(run(32, 1), "");
  for (int64_t rows = 33; rows <= 48; ++rows)
    EXPECT_EQ(run(rows, 1), "");
  // The first of them moved; from then on all are where they were.
  for (int64_t rows = 33; rows <= 48; ++rows)
    EXPECT_EQ(run(rows, 2), "");
  EXPECT_EQ(model->counters().recorded, 16U);
  // Where so much is not to be had, what is needed does.
  load("cuMemAlloc:3,cuMemAllocHost:4");
  awaitWeights();
  EXPECT_EQ(run(32, 1), "");
  EXPECT_EQ(run(33, 1), "");
  EXPECT_EQ(run(33, 2), "");
  EXPECT_EQ(model->counters().replays, 1U);
}

TEST_F(GpuModelTest, GraphsThatAreNotUsedGiveWayToOthers) {
  load();
  awaitWeights();
  EXPECT_EQ(run(100, 1), "");
  for (int64_t rows = 1; rows <= int64_t(Graphs::mostGraphs) + 5; ++rows)
    for (float x = 1; x <= 2; ++x)
      EXPECT_EQ(run(rows, x), "");
  EXPECT_EQ(model->counters().recorded, Graphs::mostGraphs + 5);
  EXPECT_EQ(run(1, 3), "");
  EXPECT_EQ(model->counters().recorded, Graphs::mostGraphs + 5);
}

TEST_F(GpuModelTest, WithoutGraphsEveryRunIsPlain) {
  load();
  awaitWeights();
  model->setGraphs(false);
  for (float x = 1; x <= 3; ++x)
    EXPECT_EQ(run(4, x), "");
  EXPECT_EQ(model->counters().plainRuns, 3U);
  EXPECT_EQ(model->counters().recorded, 0U);
}

TEST_F(GpuModelTest, WhereNoGraphCanBeMadeLaunchesArePlain) {
  for (const char *failure :
       {"cuStreamBeginCapture:1", "cuStreamEndCapture:1",
        "cuGraphInstantiate:1", "cuGraphLaunch:1:1", "cuLaunchKernel:3:1"}) {
    SCOPED_TRACE(failure);
    load(failure);
    awaitWeights();
    for (float x = 1; x <= 4; ++x)
      EXPECT_EQ(run(4, x), "");
    EXPECT_EQ(model->counters().failed, 1U);
    EXPECT_EQ(model->counters().replays, 0U);
    EXPECT_EQ(model->counters().plainRuns, 4U);
  }
}

TEST_F(GpuModelTest, LargeInputsAreCopiedFromWhereTheyAre) {
  load();
  awaitWeights();
  const int64_t rows = (5 << 20) / (8 * width); // input and output
  for (float x = 1; x <= 3; ++x)
    EXPECT_EQ(run(rows, x), "");
  EXPECT_EQ(model->counters().replays, 2U);
}

TEST_F(GpuModelTest, DoesWithoutPinnedMemory) {
  load("cuMemAllocHost:3,cuMemAllocHost:3,cuMemAllocHost:3");
  awaitWeights();
  for (float x = 1; x <= 3; ++x)
    EXPECT_EQ(run(4, x), "");
  EXPECT_EQ(model->counters().replays, 2U);
}

/// The first run comes while weights are under way.
TEST_F(GpuModelTest, RunsAwaitTheirWeights) {
  for (int i = 0; i < 20; ++i) {
    load();
    EXPECT_EQ(run(4, 1), "");
  }
  load("cuEventRecord:1:1");
  std::string text = run(4, 1);
  EXPECT_NE(text.find("uploading weights failed with CUDA_ERROR_INVALID_VALUE"),
            std::string::npos)
      << text;
}

/// By the driver's other call, on chips that can.
TEST_F(GpuModelTest, LaunchesBeginEarlyWhereTheChipCan) {
  for (vlm_abi_launch &launch : tables.launches)
    launch.flags = VLM_ABI_LAUNCH_EARLY;
  for (const char *chip : {"80", "90"}) {
    setenv("VLMC_EMULATOR_CHIP", chip, 1);
    load("cuLaunchKernelEx:5:1");
    awaitWeights();
    for (float x = 1; x <= 3; ++x)
      EXPECT_EQ(run(4, x), "");
    EXPECT_EQ(model->counters().recorded, 1U);
    std::string text = run(8, 1);
    if (chip[0] == '8')
      EXPECT_EQ(text, "");
    else
      EXPECT_EQ(text,
                "GPU 'vlmc emulator sm_90': launching 'many' for 'one' "
                "failed with CUDA_ERROR_INVALID_VALUE (invalid argument)");
  }
  unsetenv("VLMC_EMULATOR_CHIP");
}

/// What fails on the device is told by the run that was to use it.
TEST_F(GpuModelTest, GraphsThatFailOnTheDeviceAreTold) {
  load("launch:5:719");
  awaitWeights();
  EXPECT_EQ(run(4, 1), "");
  EXPECT_EQ(run(4, 2), "");
  std::string text = run(4, 3);
  EXPECT_NE(text.find("running entry point 'forward' failed with "
                      "CUDA_ERROR_LAUNCH_FAILED"),
            std::string::npos)
      << text;
}

} // namespace
} // namespace vlmc::rt::cuda
