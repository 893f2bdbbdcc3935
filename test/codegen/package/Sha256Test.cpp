//===- Sha256Test.cpp - the digests of weights ----------------------------===//
#include "codegen/package/Sha256.h"
#include "llvm/ADT/StringExtras.h"
#include "gtest/gtest.h"
#include <numeric>

using namespace llvm;
using namespace vlmc;

static std::string digestOf(ArrayRef<uint8_t> bytes, size_t cut) {
  Sha256 sha;
  for (; bytes.size() > cut; bytes = bytes.drop_front(cut))
    sha.update(bytes.take_front(cut));
  sha.update(bytes);
  return toHex(sha.final(), /*LowerCase=*/true);
}

// FIPS 180-4's examples.
TEST(Sha256Test, GivesThePublishedDigests) {
  std::string text = "abc";
  EXPECT_EQ(digestOf(arrayRefFromStringRef(text), 64),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  text = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
  EXPECT_EQ(digestOf(arrayRefFromStringRef(text), 64),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(digestOf({}, 64),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Sha256Test, EqualsLlvmHoweverItIsCut) {
  std::vector<uint8_t> bytes(300);
  std::iota(bytes.begin(), bytes.end(), uint8_t(7));
  for (size_t size = 0; size <= bytes.size(); ++size) {
    ArrayRef<uint8_t> part(bytes.data(), size);
    std::string expected = toHex(SHA256::hash(part), /*LowerCase=*/true);
    for (size_t cut : {1, 7, 63, 64, 65, 128, 301})
      EXPECT_EQ(digestOf(part, cut), expected) << size << " bytes by " << cut;
  }
}
