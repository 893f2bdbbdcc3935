//===-- WeightsFileTest.cpp - NAME.weights, read back ---------------------===//
#include "codegen/package/WeightsFile.h"
#include "frontend/checkpoint/Safetensors.h"
#include "test/codegen/package/Support.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/SHA256.h"

using namespace vlmc;
using namespace vlmc::test;
using vlmc::vlm::RecipeAttr;

namespace {
struct WeightsFileTest : RecipeTest {
  WeightsFileTest() {
    source.add("a", StoredType::F32, {3, 5}, std::vector<float>(15, 1.5f));
    source.add("b", StoredType::F32, {20, 2}, std::vector<float>(40, 2.5f));
    source.add("c", StoredType::F32, {9}, std::vector<float>(9, 3.5f));
    weights = {{"rows", read("a", {3, 5})},
               {"panels", RecipeAttr::pack("f32.panel16", read("b", {20, 2}))},
               {"vector", RecipeAttr::pack("f32.vector", read("c", {9}))},
               {"again", read("a", {3, 5})}};
    blobs = {{"text.tokenizer", blob}};
  }
  TestSource source;
  std::vector<NamedRecipe> weights;
  std::vector<uint8_t> blob = std::vector<uint8_t>(100, 7);
  std::vector<NamedBlob> blobs;
  TemporaryFolder folder;
};
} // namespace

TEST_F(WeightsFileTest, IsAStrictSafetensorsFile) {
  auto plan = WeightsPlan::create(weights, blobs, source);
  ASSERT_TRUE(bool(plan)) << messageOf(std::move(plan));
  std::string path = folder.file("m.weights");
  uint64_t done = 0, total = 0;
  auto identity = plan->write(path, 3, [&](uint64_t d, uint64_t t) {
    EXPECT_GT(d, done);
    done = d;
    total = t;
  });
  ASSERT_TRUE(bool(identity)) << messageOf(std::move(identity));
  EXPECT_EQ(done, total);

  Result<SafetensorsFile> file = SafetensorsFile::open(path);
  ASSERT_TRUE(bool(file)) << file.message();
  std::vector<std::string> names;
  for (const SafetensorsEntry &entry : file->entries()) {
    names.push_back(entry.name);
    if (entry.name.rfind("__pad.", 0) == 0)
      continue;
    EXPECT_EQ(entry.begin % 64, 0u) << entry.name;
    const FileRange *range = plan->find(entry.name);
    ASSERT_TRUE(range) << entry.name;
    EXPECT_EQ(range->offset, entry.begin);
    EXPECT_EQ(range->bytes, entry.end - entry.begin);
  }
  EXPECT_EQ(names,
            (std::vector<std::string>{"rows", "__pad.0", "panels", "vector",
                                      "text.tokenizer", "__pad.1"}));
  EXPECT_EQ(plan->tensorCount(), 4u);
  EXPECT_EQ(file->entries()[2].shape, (std::vector<int64_t>{2, 2, 16}));
  EXPECT_EQ(file->entries()[3].shape, std::vector<int64_t>{16});
  EXPECT_EQ(plan->find("again")->offset, plan->find("rows")->offset);
  EXPECT_FALSE(plan->find("nothing"));
}

TEST_F(WeightsFileTest, HoldsChecksumsLayoutsAndItsIdentity) {
  auto plan = WeightsPlan::create(weights, blobs, source);
  ASSERT_TRUE(bool(plan)) << messageOf(std::move(plan));
  std::string path = folder.file("m.weights");
  auto identity = plan->write(path, 1, {});
  ASSERT_TRUE(bool(identity)) << messageOf(std::move(identity));
  std::string bytes = readFile(path);
  EXPECT_EQ(identity->fileBytes, bytes.size());
  EXPECT_EQ(identity->headerBytes % 64, 0u);
  llvm::StringRef header(bytes.data(), identity->headerBytes);
  EXPECT_EQ(llvm::SHA256::hash(llvm::arrayRefFromStringRef(header)),
            identity->headerSha256);

  auto json = llvm::json::parse(header.drop_front(8));
  ASSERT_TRUE(bool(json));
  llvm::json::Object *meta = json->getAsObject()->getObject("__metadata__");
  ASSERT_TRUE(meta);
  EXPECT_EQ(meta->getString("vlmc.version"), VLMC_VERSION);
  EXPECT_EQ(meta->getString("layout.rows"), "f32.rows");
  EXPECT_EQ(meta->getString("layout.panels"), "f32.panel16");
  EXPECT_EQ(meta->getString("layout.vector"), "f32.vector");
  EXPECT_FALSE(meta->getString("layout.text.tokenizer"));
  Result<SafetensorsFile> file = SafetensorsFile::open(path);
  ASSERT_TRUE(bool(file)) << file.message();
  for (const SafetensorsEntry &entry : file->entries()) {
    auto data = file->bytesOf(entry);
    auto digest = llvm::SHA256::hash({data.data(), data.size()});
    EXPECT_EQ(meta->getString("sha256." + entry.name),
              llvm::toHex(digest, /*LowerCase=*/true))
        << entry.name;
  }
}

TEST_F(WeightsFileTest, GivesTheSameBytesForAnyNumberOfThreads) {
  std::string first;
  for (unsigned jobs : {1, 2, 7}) {
    auto plan = WeightsPlan::create(weights, blobs, source);
    ASSERT_TRUE(bool(plan));
    std::string path = folder.file(std::to_string(jobs));
    ASSERT_EQ(messageOf(plan->write(path, jobs, {})), "");
    if (first.empty())
      first = readFile(path);
    EXPECT_EQ(readFile(path), first);
  }
}

TEST_F(WeightsFileTest, RejectsNamesThatAreTaken) {
  weights.push_back({"rows", read("c", {9})});
  EXPECT_EQ(messageOf(WeightsPlan::create(weights, blobs, source)),
            "weight 'rows' is stored twice or has a reserved name");
  weights.back().name = "__pad.0";
  EXPECT_EQ(messageOf(WeightsPlan::create(weights, blobs, source)),
            "weight '__pad.0' is stored twice or has a reserved name");
  weights.back() = {"d", read("d", {9})};
  EXPECT_EQ(messageOf(WeightsPlan::create(weights, blobs, source)),
            "the checkpoint has no tensor 'd', which weight 'd' is made of "
            "(expected F32 [9])");
}

TEST_F(WeightsFileTest, TellsOfAFileThatIsThere) {
  auto plan = WeightsPlan::create(weights, blobs, source);
  ASSERT_TRUE(bool(plan));
  std::string path = folder.file("m.weights");
  writeText(path, "x");
  EXPECT_EQ(messageOf(plan->write(path, 1, {})),
            "cannot create '" + path +
                "': File exists; choose a place that you may write to");
}
