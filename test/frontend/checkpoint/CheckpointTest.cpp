//===- CheckpointTest.cpp - Tests of checkpoint folders -------------------===//
#include "frontend/checkpoint/Checkpoint.h"
#include "test/frontend/support/TestFolder.h"

#include <gtest/gtest.h>

using namespace vlmc;

namespace {
class CheckpointFolder : public testing::Test {
protected:
  std::string messageOf() {
    auto checkpoint = Checkpoint::open(folder.path(), warnings);
    return checkpoint ? "" : folder.relative(checkpoint.message());
  }
  /// A file with one byte for each of the names.
  void writeShard(const std::string &file, const std::string &names,
                  char value = 0) {
    std::string header = "{";
    for (size_t i = 0; i < names.size(); ++i)
      header += std::string(i ? "," : "") + "\"" + names[i] +
                "\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[" +
                std::to_string(i) + "," + std::to_string(i + 1) + "]}";
    std::string bytes = safetensors(header + "}", names.size());
    for (size_t i = 0; i < names.size(); ++i)
      bytes[bytes.size() - 1 - i] = value;
    folder.write(file, bytes);
  }

  TestFolder folder;
  std::vector<std::string> warnings;
};
} // namespace

TEST_F(CheckpointFolder, ReadsOneFile) {
  folder.write(
      "model.safetensors",
      safetensors(
          R"({"q":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[4,6]},)"
          R"("w":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}})",
          6));
  auto checkpoint = Checkpoint::open(folder.path(), warnings);
  ASSERT_TRUE(checkpoint) << checkpoint.message();
  const WeightTensor *tensor = (*checkpoint)->find("w");
  ASSERT_NE(tensor, nullptr);
  EXPECT_EQ(tensor->type, StoredType::BF16);
  EXPECT_EQ(tensor->shape, std::vector<int64_t>{2});
  EXPECT_EQ(tensor->bytes, 4u);
  EXPECT_EQ(folder.relative(tensor->file), "DIR/model.safetensors");
  EXPECT_EQ(tensor->offset,
            std::filesystem::file_size(folder.path("model.safetensors")) - 6);
  EXPECT_EQ((*checkpoint)->find("q"), nullptr);
  EXPECT_EQ((*checkpoint)->unreadableDtype("q"), "F8_E4M3");
  EXPECT_EQ((*checkpoint)->unreadableDtype("w"), "");
  EXPECT_EQ((*checkpoint)->unreadableFile("q"),
            folder.path("model.safetensors"));
  EXPECT_EQ((*checkpoint)->unreadableFile("w"), "");
  EXPECT_EQ((*checkpoint)->names(), (std::vector<std::string>{"q", "w"}));
  EXPECT_TRUE(warnings.empty());
}

TEST_F(CheckpointFolder, ReadsShardsByTheIndex) {
  writeShard("one.safetensors", "abx", 1);
  writeShard("two.safetensors", "acy", 2);
  folder.write("model.safetensors.index.json",
               R"({"metadata":{"total_size":5},"weight_map":{
                   "a":"two.safetensors","b":"one.safetensors",
                   "c":"two.safetensors"}})");
  auto checkpoint = Checkpoint::open(folder.path(), warnings);
  ASSERT_TRUE(checkpoint) << folder.relative(checkpoint.message());
  EXPECT_EQ(*(*checkpoint)->find("a")->data, 2);
  EXPECT_EQ(*(*checkpoint)->find("b")->data, 1);
  EXPECT_EQ(*(*checkpoint)->find("c")->data, 2);
  // Tensors that the index does not list are there as well.
  EXPECT_EQ((*checkpoint)->names(),
            (std::vector<std::string>{"a", "b", "c", "x", "y"}));
}

TEST_F(CheckpointFolder, PrefersTheSingleFile) {
  writeShard("model.safetensors", "a");
  folder.write("model.safetensors.index.json", "{}");
  EXPECT_EQ(messageOf(), "");
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_EQ(folder.relative(warnings[0]),
            "DIR/model.safetensors.index.json: ignored, as model.safetensors "
            "is there");
}

TEST_F(CheckpointFolder, TellsWhatIsMissing) {
  EXPECT_EQ(messageOf(),
            "DIR: expected model.safetensors or model.safetensors.index.json, "
            "found neither; complete the folder");
  folder.write("pytorch_model.bin", "x");
  EXPECT_EQ(messageOf(),
            "DIR/pytorch_model.bin: expected a zip archive, as torch.save "
            "writes since PyTorch 1.6, found another kind of file; load it "
            "with PyTorch and save it again");
  auto none = Checkpoint::open(folder.path("none"), warnings);
  EXPECT_EQ(folder.relative(none.message()),
            "DIR/none: no such folder; give a checkpoint folder with "
            "config.json and model.safetensors");
  auto file = Checkpoint::open(folder.path("pytorch_model.bin"), warnings);
  EXPECT_EQ(folder.relative(file.message()),
            "DIR/pytorch_model.bin: expected a checkpoint folder, found a "
            "file; give the folder that model.safetensors is in");
}

TEST_F(CheckpointFolder, TellsWhatIsWrongInAnIndex) {
  auto messageOfIndex = [&](const std::string &text) {
    folder.write("model.safetensors.index.json", text);
    std::string message = messageOf();
    std::string begin = "DIR/model.safetensors.index.json";
    return message.starts_with(begin) ? message.substr(begin.size()) : message;
  };
  EXPECT_TRUE(messageOfIndex("{").starts_with(":1:1: expected JSON") ||
              messageOfIndex("{").starts_with(":1:2: expected JSON"))
      << messageOfIndex("{");
  EXPECT_EQ(messageOfIndex("{}"), ": expected an object \"weight_map\" (tensor "
                                  "to file name), found {}; mend the file");
  EXPECT_EQ(messageOfIndex(R"({"weight_map":{}})"),
            ": weight_map: expected at least one tensor, found none; mend the "
            "file");
  for (const char *name :
       {"\"../x\"", "\"/etc/passwd\"", "\"a/b\"", "\"..\"", "\"\"", "3"})
    EXPECT_EQ(
        messageOfIndex("{\"weight_map\":{\"a\":" + std::string(name) + "}}"),
        ": weight_map.a: expected the name of a file in the same folder, "
        "found " +
            std::string(name) + "; mend the file");
}

TEST_F(CheckpointFolder, TellsShardsThatLackSomething) {
  folder.write(
      "model.safetensors.index.json",
      R"({"weight_map":{"a":"one.safetensors","b":"two.safetensors"}})");
  writeShard("one.safetensors", "a");
  EXPECT_EQ(messageOf(),
            "DIR/two.safetensors: no such file, but "
            "DIR/model.safetensors.index.json names it for 1 tensors; fetch "
            "the shard");
  writeShard("two.safetensors", "c");
  EXPECT_EQ(messageOf(),
            "DIR/two.safetensors: tensor 'b' is missing, but "
            "DIR/model.safetensors.index.json places it here; fetch the shard "
            "again");
  writeShard("one.safetensors", "ac");
  writeShard("two.safetensors", "bc");
  EXPECT_EQ(messageOf(),
            "DIR/two.safetensors: tensor 'c' is also in DIR/one.safetensors "
            "and not in DIR/model.safetensors.index.json; mend the index");
  folder.write("two.safetensors", "");
  EXPECT_EQ(messageOf(),
            "DIR/two.safetensors: expected a safetensors file of at least 8 "
            "bytes, found 0; the file is damaged, fetch or save it again");
}
