//===- TorchFileTest.cpp - Tests of files of torch.save -------------------===//
//
// Archives and pickles are made here, byte by byte; those that PyTorch itself
// wrote are in the goldens of LLaVA's own layout.
//
//===----------------------------------------------------------------------===//
#include "frontend/checkpoint/TorchFile.h"
#include "frontend/checkpoint/Checkpoint.h"
#include "test/frontend/support/TestFolder.h"

#include <gtest/gtest.h>

using namespace vlmc;

namespace {

std::string number(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i)
    text += static_cast<char>(value >> (8 * i));
  return text;
}

using Members = std::vector<std::pair<std::string, std::string>>;

/// An archive of stored members; `method` and `flags` of each.
std::string zip(const Members &members, int method = 0, int flags = 0) {
  std::string bytes, directory;
  for (const auto &[name, data] : members) {
    std::string common = number(flags, 2) + number(method, 2) + number(0, 8) +
                         number(data.size(), 4) + number(data.size(), 4) +
                         number(name.size(), 2);
    directory += number(0x02014b50, 4) + number(0, 4) + common + number(0, 12) +
                 number(bytes.size(), 4) + name;
    bytes += number(0x04034b50, 4) + number(0, 2) + common + number(0, 2) +
             name + data;
  }
  uint64_t at = bytes.size();
  return bytes + directory + number(0x06054b50, 4) + number(0, 4) +
         number(members.size(), 2) + number(members.size(), 2) +
         number(directory.size(), 4) + number(at, 4) + number(0, 2);
}

std::string text(const std::string &value) {
  return "X" + number(value.size(), 4) + value;
}
std::string integer(uint64_t value) { return "K" + number(value, 1); }

std::string tuple(const std::vector<int> &values) {
  std::string all = "(";
  for (int value : values)
    all += integer(value);
  return all + "t";
}

/// The call that makes a tensor of a storage.
std::string tensor(const std::string &type, const std::string &key, int offset,
                   const std::vector<int> &shape,
                   const std::vector<int> &strides) {
  return "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") +
         "ctorch\n" + type + "\n" + text(key) + text("cpu") + integer(99) +
         "tQ" + integer(offset) + tuple(shape) + tuple(strides) +
         "\x89" // no gradient
         "ccollections\nOrderedDict\n)RtR";
}

/// A dict of entries, each a text and a value.
std::string pickle(const std::string &entries) {
  return "\x80\x02}q\x01(" + entries + "u.";
}

class TorchFileFolder : public testing::Test {
protected:
  Result<TorchFile> open(const std::string &bytes) {
    folder.write("f.bin", bytes);
    return TorchFile::open(folder.path("f.bin"));
  }
  std::string messageOf(const std::string &bytes) {
    auto file = open(bytes);
    return file ? "" : folder.relative(file.message());
  }
  std::string messageOfPickle(const std::string &bytes) {
    return messageOf(zip({{"a/data.pkl", bytes}, {"a/data/0", "12345678"}}));
  }
  TestFolder folder;
};
} // namespace

TEST_F(TorchFileFolder, ReadsTensors) {
  auto file = open(
      zip({{"a/byteorder", "little"},
           {"a/data.pkl",
            pickle(text("w") + tensor("HalfStorage", "0", 1, {2, 1}, {1, 7}) +
                   text("same") + tensor("HalfStorage", "0", 0, {4}, {1}) +
                   text("odd") + tensor("QInt8Storage", "0", 0, {4}, {1}) +
                   text("p") + "ctorch._utils\n_rebuild_parameter\n(" +
                   tensor("LongStorage", "0", 0, {}, {}) + "\x88NtR" +
                   text("n") + integer(3))},
           {"a/data/0", "abcdefgh"}}));
  ASSERT_TRUE(file) << file.message();
  const auto &entries = file->entries();
  ASSERT_EQ(entries.size(), 4u);
  EXPECT_EQ(entries[0].name, "w");
  EXPECT_EQ(entries[0].dtype, "F16");
  EXPECT_EQ(entries[0].shape, (std::vector<int64_t>{2, 1}));
  auto bytes = [&](size_t i) {
    auto span = file->bytesOf(entries[i]);
    return std::string(span.begin(), span.end());
  };
  EXPECT_EQ(bytes(0), "cdef");
  EXPECT_EQ(bytes(1), "abcdefgh");
  EXPECT_EQ(entries[2].storedType(), std::nullopt);
  EXPECT_EQ(entries[2].dtype, "QInt8Storage");
  EXPECT_EQ(entries[3].dtype, "I64");
  EXPECT_EQ(bytes(3), "abcdefgh");
}

TEST_F(TorchFileFolder, TakesAnInnerStateDict) {
  auto file = open(
      zip({{"data.pkl",
            pickle(text("epoch") + integer(1) + text("state_dict") + "}" +
                   text("w") + tensor("ByteStorage", "7", 2, {3}, {1}) + "s")},
           {"data/7", "abcdefgh"}}));
  ASSERT_TRUE(file) << file.message();
  ASSERT_EQ(file->entries().size(), 1u);
  EXPECT_EQ(file->entries()[0].name, "w");
}

TEST_F(TorchFileFolder, RunsNothing) {
  const std::string mend = "; nothing but tensors is read from a pickle: save "
                           "the model's state_dict(), or as safetensors";
  const std::string expected =
      "DIR/f.bin: data.pkl: expected tensors, dicts, lists and plain values, "
      "found ";
  EXPECT_EQ(messageOfPickle("\x80\x02"
                            "cos\nsystem\n(" +
                            text("true") + "tR."),
            expected + "a call of os.system" + mend);
  EXPECT_EQ(messageOfPickle("\x80\x02" + text("os") + text("system") + "\x93(" +
                            text("true") + "tR."),
            expected + "a call of os.system" + mend);
  EXPECT_EQ(messageOfPickle("\x80\x02"
                            "cmodel\nNet\n)\x81}b."),
            expected + "the opcode 129" + mend);
  EXPECT_EQ(messageOfPickle("\x80\x02"
                            "cmodel\nNet\n}b."),
            expected + "an object with a state of its own" + mend);
  EXPECT_EQ(messageOfPickle("\x80\x02K\x01."),
            expected + "no dict of tensors" + mend);
}

TEST_F(TorchFileFolder, TellsDamage) {
  EXPECT_EQ(messageOf("\x80\x02}."),
            "DIR/f.bin: expected a zip archive, as torch.save writes since "
            "PyTorch 1.6, found another kind of file; load it with PyTorch and "
            "save it again");
  const std::string damaged = "; the file is damaged or truncated, fetch or "
                              "save it again";
  EXPECT_EQ(messageOf("PK\x03\x04 and no more"),
            "DIR/f.bin: expected the directory of a zip archive at its end, "
            "found none" +
                damaged);
  EXPECT_EQ(messageOf(zip({{"a/x", "1"}})),
            "DIR/f.bin: expected the member data.pkl of torch.save, found "
            "none; give a file that torch.save wrote");
  EXPECT_EQ(messageOf(zip({{"a/data.pkl", "x"}}, 8)),
            "DIR/f.bin: member 'a/data.pkl': expected bytes that are stored as "
            "they are, found compressed ones; save the file with torch.save");
  EXPECT_EQ(messageOf(zip({{"a/data.pkl", "x"}}, 0, 1)),
            "DIR/f.bin: member 'a/data.pkl': expected bytes that are stored as "
            "they are, found encrypted ones; save the file with torch.save");
  EXPECT_EQ(messageOf(zip({{"a/data.pkl", "x"}, {"a/data.pkl", "x"}})),
            "DIR/f.bin: expected member 'a/data.pkl' once, found it twice" +
                damaged);
  std::string whole = zip({{"a/data.pkl", std::string(40, 'x')}});
  EXPECT_EQ(messageOf(whole.substr(0, 20) + whole.substr(60)),
            "DIR/f.bin: expected an entry of the zip directory, found none" +
                damaged);
  EXPECT_EQ(messageOf(zip({{"a/data.pkl", "x"}, {"a/byteorder", "big"}})),
            "DIR/f.bin: byteorder: expected little, found big; save the file "
            "on a little-endian machine");
  EXPECT_EQ(messageOfPickle("\x80\x02}"),
            "DIR/f.bin: data.pkl: expected more of a pickle, found its end; "
            "the file is damaged or truncated, fetch or save it again");
  EXPECT_EQ(messageOfPickle("\x80\x02s."),
            "DIR/f.bin: data.pkl: expected a pickle of torch.save, found other "
            "operands at byte 3; the file is damaged, fetch or save it again");
}

// PyTorch allows 64 axes; a shape of more, which many tensors share, would only
// fill the memory.
TEST_F(TorchFileFolder, TellsTooManyAxes) {
  const std::vector<int> ones(65, 1);
  EXPECT_EQ(
      messageOfPickle(
          pickle(text("w") + tensor("FloatStorage", "0", 0, ones, ones))),
      "DIR/f.bin: data.pkl: expected a pickle of torch.save, found other "
      "operands at byte 393; the file is damaged, fetch or save it again");
}

TEST_F(TorchFileFolder, ChecksPlaces) {
  auto messageOfTensor = [&](const std::string &key, int offset,
                             const std::vector<int> &shape,
                             const std::vector<int> &strides) {
    return messageOfPickle(pickle(
        text("w") + tensor("FloatStorage", key, offset, shape, strides)));
  };
  EXPECT_EQ(messageOfTensor("0", 0, {2}, {1}), "");
  const std::string mend = "; the file is damaged, fetch or save it again";
  EXPECT_EQ(messageOfTensor("9", 0, {2}, {1}),
            "DIR/f.bin: tensor 'w': expected the member 'a/data/9', found "
            "none" +
                mend);
  EXPECT_EQ(messageOfTensor("0", 1, {2}, {1}),
            "DIR/f.bin: tensor 'w': expected its [2] elements within a storage "
            "of 2, found them beyond its end" +
                mend);
  EXPECT_EQ(messageOfTensor("0", 0, {2, 1}, {1, 1}), "");
  EXPECT_EQ(messageOfTensor("0", 0, {1, 2}, {1, 0}),
            "DIR/f.bin: tensor 'w': expected elements row by row, found "
            "strides [1, 0] for [1, 2]; save it with .contiguous(), or the "
            "model as safetensors");
}

TEST_F(TorchFileFolder, IsAFolderOfWeights) {
  std::vector<std::string> warnings;
  EXPECT_FALSE(Checkpoint::hasWeights(folder.path()));
  auto shard = [&](const std::string &name) {
    return zip({{"a/data.pkl",
                 pickle(text(name) + tensor("FloatStorage", "0", 0, {2}, {1}))},
                {"a/data/0", "12345678"}});
  };
  folder.write("one.bin", shard("a"));
  folder.write("two.bin", shard("b"));
  folder.write("pytorch_model.bin.index.json",
               R"({"weight_map":{"a":"one.bin","b":"two.bin"}})");
  EXPECT_TRUE(Checkpoint::hasWeights(folder.path()));
  auto shards = Checkpoint::open(folder.path(), warnings);
  ASSERT_TRUE(shards) << shards.message();
  EXPECT_EQ((*shards)->names(), (std::vector<std::string>{"a", "b"}));
  folder.write("pytorch_model.bin", shard("c"));
  auto single = Checkpoint::open(folder.path(), warnings);
  ASSERT_TRUE(single) << single.message();
  EXPECT_EQ((*single)->names(), std::vector<std::string>{"c"});
  // Of both kinds, safetensors.
  folder.write("model.safetensors", safetensors("{}", 0));
  auto both = Checkpoint::open(folder.path(), warnings);
  ASSERT_TRUE(both) << both.message();
  EXPECT_TRUE((*both)->names().empty());
  // Tensors of another folder come under a prefix, those that are wanted.
  (*both)->addAll(std::move(**shards), "tower.",
                  [](std::string_view name) { return name != "b"; });
  EXPECT_EQ((*both)->names(), std::vector<std::string>{"tower.a"});
  EXPECT_EQ((*both)->find("tower.a")->bytes, 8u);
}
