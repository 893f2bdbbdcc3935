//===-- TablesTest.cpp - tables, read back through the C header -----------===//
#include "codegen/package/Link.h"
#include "codegen/package/ModelTables.h"
#include "test/codegen/package/Support.h"
#include <dlfcn.h>

using namespace vlmc;
using namespace vlmc::test;
using vlmc::vlm::Size;

/// A model with every field set.
static ModelTables makeTables() {
  Size b = Size::symbol("B"), t = Size::symbol("T");
  EntryTable entry;
  entry.name = "encode";
  entry.symbols = {{"B", 1, 1, 64}, {"T", 1, 16, 77}};
  entry.inputs = {{"ids", VLM_ABI_I64, {b, t}, {{0, 99}}, {}},
                  {"mask", VLM_ABI_I64, {b, t}, {}, 1}};
  entry.outputs = {{"embeds", VLM_ABI_F32, {b, Size(8)}, {}, {}}};
  entry.slots = {{b * 128, Size(64)}, {b * t * t * 4 + 64}};
  entry.scratch = {Size(4096)};
  entry.steps = {{"text.layers.0",
                  0,
                  {{VLM_ABI_INPUT, 1, 0},
                   {VLM_ABI_WEIGHT, 0, 640},
                   {VLM_ABI_SLOT, 1, 0},
                   {VLM_ABI_OUTPUT, 0, 0}},
                  {b, t * 3},
                  b * t * 6 + 8,
                  t * 4,
                  3,
                  1}};
  entry.trim = TrimTable{VLM_ABI_TRIM_FIRST_EQUAL, 0, 1, 98};
  ModelTables tables;
  tables.name = "tiny";
  tables.family = "clip";
  tables.levels.push_back(
      {"x86-64-v3",
       {{"k",
         "rows",
         {{"k_run_0", "k_tasks_0"}, {"k_run_1", "k_tasks_1"}},
         4,
         2}},
       {entry}});
  tables.reference = true;
  tables.weights = {4096, 1024, {}};
  for (size_t i = 0; i < 32; ++i)
    tables.weights.headerSha256[i] = static_cast<uint8_t>(200 + i);
  tables.tokenizer = {2048, 100};
  ImageTable image;
  image.resize = VLM_ABI_RESIZE_SHORTEST_EDGE;
  image.filter = 3;
  image.edge = 224;
  image.longestEdge = 333;
  image.height = 5;
  image.width = 6;
  image.crop = VLM_ABI_CROP_CENTER;
  image.cropHeight = 7;
  image.cropWidth = 8;
  image.backend = VLM_ABI_BACKEND_PIL;
  image.resizeRows = "rows";
  image.resizeColumns = "columns";
  image.finish = "finish";
  for (int i = 0; i < 768; ++i) {
    image.pilTable.push_back(static_cast<float>(i) / 255);
    image.torchvisionTable.push_back(static_cast<float>(i));
  }
  tables.image = image;
  tables.head = VLM_ABI_HEAD_SIGMOID;
  tables.textMaxTokens = 77;
  tables.padTokenId = -1;
  return tables;
}

static const char *const fakeKernels = R"(
  define hidden void @k_run_0(ptr %a, i64 %b, i64 %e) { ret void }
  define hidden i64 @k_tasks_0(ptr %d) { ret i64 11 }
  define hidden void @k_run_1(ptr %a, i64 %b, i64 %e) { ret void }
  define hidden i64 @k_tasks_1(ptr %d) { %v = load i64, ptr %d
    ret i64 %v }
  define hidden i32 @rows(ptr %a) { ret i32 1 }
  define hidden i32 @columns(ptr %a) { ret i32 2 }
  define hidden i32 @finish(ptr %a) { ret i32 3 })";

namespace {
/// The tables in a library, loaded.
struct TablesTest : testing::Test {
  void SetUp() override {
    llvm::LLVMContext context;
    const Target *target = findTarget("x86-64-v3");
    ASSERT_TRUE(target);
    auto module = buildTables(makeTables(), context, target->triple);
    ASSERT_TRUE(bool(module)) << messageOf(std::move(module));
    auto object = emitObject(**module, *target);
    ASSERT_TRUE(bool(object)) << messageOf(std::move(object));
    LinkRequest request{{{"tables", {object->data(), object->size()}},
                         {"kernels", makeObject(fakeKernels)}},
                        folder.file("libtiny.so"),
                        "libtiny.so",
                        {getModelSymbol("tiny")},
                        {}};
    ASSERT_EQ(messageOf(linkSharedLibrary(request, folder.file("link"))), "");
    library = dlopen(request.output.c_str(), RTLD_NOW | RTLD_LOCAL);
    ASSERT_TRUE(library) << dlerror();
    model =
        static_cast<const vlm_abi_model *>(dlsym(library, "tiny_vlm_model"));
    ASSERT_TRUE(model);
  }
  void TearDown() override {
    if (library)
      dlclose(library);
  }
  TemporaryFolder folder;
  void *library = nullptr;
  const vlm_abi_model *model = nullptr;
};
} // namespace

TEST_F(TablesTest, Model) {
  EXPECT_EQ(model->abi_version, uint32_t(VLM_ABI_VERSION));
  EXPECT_EQ(model->struct_bytes, sizeof(vlm_abi_model));
  EXPECT_STREQ(model->name, "tiny");
  EXPECT_STREQ(model->family, "clip");
  EXPECT_STREQ(model->vlmc_version, VLMC_VERSION);
  EXPECT_EQ(model->n_levels, 1u);
  EXPECT_EQ(model->reference, 1u);
  EXPECT_EQ(model->weights_bytes, 4096u);
  EXPECT_EQ(model->weights_header_bytes, 1024u);
  for (int i = 0; i < 32; ++i)
    EXPECT_EQ(model->weights_header_sha256[i], 200 + i);
  EXPECT_EQ(model->tokenizer.offset, 2048u);
  EXPECT_EQ(model->tokenizer.bytes, 100u);
  EXPECT_EQ(model->head, uint32_t(VLM_ABI_HEAD_SIGMOID));
  EXPECT_EQ(model->text_max_tokens, 77u);
  EXPECT_EQ(model->pad_token_id, -1);
}

TEST_F(TablesTest, Image) {
  const vlm_abi_image *image = model->image;
  ASSERT_TRUE(image);
  EXPECT_EQ(image->resize, VLM_ABI_RESIZE_SHORTEST_EDGE);
  EXPECT_EQ(image->filter, 3);
  EXPECT_EQ(image->edge, 224);
  EXPECT_EQ(image->longest_edge, 333);
  EXPECT_EQ(image->height, 5);
  EXPECT_EQ(image->width, 6);
  EXPECT_EQ(image->do_crop, 1);
  EXPECT_EQ(image->crop_height, 7);
  EXPECT_EQ(image->crop_width, 8);
  EXPECT_EQ(image->backend, VLM_ABI_BACKEND_PIL);
  EXPECT_EQ(image->resize_rows(nullptr), 1);
  EXPECT_EQ(image->resize_columns(nullptr), 2);
  EXPECT_EQ(image->finish(nullptr), 3);
  EXPECT_EQ(image->pil_table[0], 0.0f);
  EXPECT_EQ(image->pil_table[767], 767.0f / 255);
  EXPECT_EQ(image->torchvision_table[767], 767.0f);
}

TEST_F(TablesTest, Kernels) {
  const vlm_abi_level &level = model->levels[0];
  EXPECT_STREQ(level.isa, "x86-64-v3");
  ASSERT_EQ(level.n_kernels, 1u);
  const vlm_abi_kernel &kernel = level.kernels[0];
  EXPECT_STREQ(kernel.name, "k");
  EXPECT_STREQ(kernel.strategy, "rows");
  EXPECT_EQ(kernel.n_buffers, 4u);
  EXPECT_EQ(kernel.n_dims, 2u);
  ASSERT_EQ(kernel.n_phases, 2u);
  int64_t dims[] = {5};
  EXPECT_EQ(kernel.phases[0].tasks(dims), 11);
  EXPECT_EQ(kernel.phases[1].tasks(dims), 5);
  kernel.phases[1].run(nullptr, 0, 1);
}

/// Evaluates a size as the runtime does.
static int64_t evaluate(const vlm_abi_size &size, int64_t b, int64_t t) {
  int64_t sum = 0;
  for (uint64_t i = 0; i < size.n_terms; ++i) {
    int64_t product = size.terms[i].coefficient;
    for (int p = 0; p < size.terms[i].powers[0]; ++p)
      product *= b;
    for (int p = 0; p < size.terms[i].powers[1]; ++p)
      product *= t;
    sum += product;
  }
  return sum;
}

TEST_F(TablesTest, EntrysSizesAndTensors) {
  ASSERT_EQ(model->levels[0].n_entries, 1u);
  const vlm_abi_entry &entry = model->levels[0].entries[0];
  EXPECT_STREQ(entry.name, "encode");
  ASSERT_EQ(entry.n_symbols, 2u);
  EXPECT_STREQ(entry.symbols[1].name, "T");
  EXPECT_EQ(entry.symbols[1].min, 1);
  EXPECT_EQ(entry.symbols[1].likely, 16);
  EXPECT_EQ(entry.symbols[1].max, 77);
  ASSERT_EQ(entry.n_inputs, 2u);
  const vlm_abi_tensor &ids = entry.inputs[0], &mask = entry.inputs[1];
  EXPECT_STREQ(ids.name, "ids");
  EXPECT_EQ(ids.dtype, uint32_t(VLM_ABI_I64));
  EXPECT_EQ(ids.rank, 2u);
  EXPECT_EQ(ids.symbols[0], 0);
  EXPECT_EQ(ids.symbols[1], 1);
  EXPECT_EQ(ids.symbols[2], -1);
  EXPECT_EQ(ids.optional, 0u);
  EXPECT_EQ(ids.has_range, 1u);
  EXPECT_EQ(ids.max, 99);
  EXPECT_EQ(mask.optional, 1u);
  EXPECT_EQ(mask.fill, 1);
  EXPECT_EQ(mask.has_range, 0u);
  ASSERT_EQ(entry.n_outputs, 1u);
  EXPECT_EQ(entry.outputs[0].dims[1], 8);
  EXPECT_EQ(entry.outputs[0].symbols[1], -1);
  ASSERT_EQ(entry.n_slots, 2u);
  ASSERT_EQ(entry.slots[0].n_sizes, 2u);
  EXPECT_EQ(evaluate(entry.slots[0].sizes[0], 3, 5), 384);
  EXPECT_EQ(evaluate(entry.slots[0].sizes[1], 3, 5), 64);
  EXPECT_EQ(evaluate(entry.slots[1].sizes[0], 3, 5), 3 * 25 * 4 + 64);
  ASSERT_TRUE(entry.trim);
  EXPECT_EQ(entry.trim->kind, uint32_t(VLM_ABI_TRIM_FIRST_EQUAL));
  EXPECT_EQ(entry.trim->input, 0u);
  EXPECT_EQ(entry.trim->symbol, 1u);
  EXPECT_EQ(entry.trim->id, 98);
  ASSERT_EQ(entry.scratch.n_sizes, 1u);
  EXPECT_EQ(evaluate(entry.scratch.sizes[0], 1, 1), 4096);
}

TEST_F(TablesTest, Steps) {
  const vlm_abi_entry &entry = model->levels[0].entries[0];
  ASSERT_EQ(entry.n_steps, 1u);
  const vlm_abi_step &step = entry.steps[0];
  EXPECT_STREQ(step.label, "text.layers.0");
  EXPECT_EQ(step.kernel, 0u);
  EXPECT_EQ(step.buffers[0].kind, uint32_t(VLM_ABI_INPUT));
  EXPECT_EQ(step.buffers[0].index, 1u);
  EXPECT_EQ(step.buffers[1].kind, uint32_t(VLM_ABI_WEIGHT));
  EXPECT_EQ(step.buffers[1].offset, 640u);
  EXPECT_EQ(step.buffers[3].kind, uint32_t(VLM_ABI_OUTPUT));
  EXPECT_EQ(evaluate(step.dims[1], 2, 7), 21);
  EXPECT_EQ(evaluate(step.flops, 2, 7), 92);
  EXPECT_EQ(evaluate(step.bytes, 2, 7), 28);
  EXPECT_EQ(step.n_operands, 3u);
  EXPECT_EQ(step.n_results, 1u);
}

/// The message for tables whose one entry point was changed.
template <typename Change> static std::string messageFor(Change change) {
  ModelTables tables = makeTables();
  change(tables.levels[0].entries[0]);
  llvm::LLVMContext context;
  return messageOf(buildTables(tables, context, "x86_64-unknown-linux-gnu"));
}

TEST(Tables, RefusesWhatTheInterfaceHasNoRoomFor) {
  EXPECT_EQ(messageFor([](EntryTable &entry) {
              entry.symbols.resize(5, entry.symbols[0]);
            }),
            "entry 'encode' has 5 size symbols; expected at most 4");
  EXPECT_EQ(
      messageFor(
          [](EntryTable &entry) { entry.inputs[0].dims.resize(7, Size(1)); }),
      "entry 'encode': tensor 'ids' has 7 dimensions; expected at most 6");
  EXPECT_EQ(messageFor([](EntryTable &entry) {
              entry.inputs[0].dims[0] = Size::symbol("B") * 2;
            }),
            "entry 'encode': a dimension of 'ids' is 2 * B; expected a "
            "constant or one symbol");
  EXPECT_EQ(messageFor(
                [](EntryTable &entry) { entry.scratch = {Size::symbol("Z")}; }),
            "entry 'encode': size symbol 'Z' is not declared");
  llvm::LLVMContext context;
  EXPECT_EQ(messageOf(buildTables(makeTables(), context, "i686-linux-gnu")),
            "target 'i686-linux-gnu' has another memory layout than this "
            "machine");
}

TEST(Tables, Identifiers) {
  EXPECT_EQ(toIdentifier("vit-b/32"), "vit_b_32");
  EXPECT_EQ(toIdentifier("3d"), "m3d");
  EXPECT_EQ(toIdentifier(""), "m");
  EXPECT_EQ(toIdentifier("clip"), "clip");
}
