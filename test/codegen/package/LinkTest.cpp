//===-- LinkTest.cpp - LLD in process -------------------------------------===//
#include "codegen/package/Link.h"
#include "runtime/abi/LibrarySeal.h"
#include "test/codegen/package/Support.h"
#include "llvm/Object/Archive.h"
#include <dlfcn.h>
#include <filesystem>

using namespace vlmc;
using namespace vlmc::test;

static const char *const answer = R"(
  define i32 @answer() { %r = call i32 @hidden()
    ret i32 %r }
  define hidden i32 @hidden() { ret i32 42 })";

TEST(Link, ExportsOnlyWhatIsNamedAndLinksAgain) {
  TemporaryFolder folder;
  std::string first;
  for (const char *name : {"a", "b"}) {
    std::string output = folder.file(std::string(name) + ".so");
    LinkRequest request{
        {{"code", makeObject(answer)}}, output, "libx.so", {"answer"}, {}};
    ASSERT_EQ(messageOf(linkSharedLibrary(request, folder.file("link"))), "");
    EXPECT_FALSE(std::filesystem::exists(folder.file("link")));
    void *library = dlopen(output.c_str(), RTLD_NOW | RTLD_LOCAL);
    ASSERT_TRUE(library) << dlerror();
    auto *function = reinterpret_cast<int (*)()>(dlsym(library, "answer"));
    ASSERT_TRUE(function);
    EXPECT_EQ(function(), 42);
    EXPECT_FALSE(dlsym(library, "hidden"));
    dlclose(library);
    if (first.empty())
      first = readFile(output);
    EXPECT_EQ(readFile(output), first) << "links differ";
  }
}

TEST(Link, SealsTheLibrary) {
  TemporaryFolder folder;
  LinkRequest request{{{"code", makeObject(answer)}},
                      folder.file("a.so"),
                      "libx.so",
                      {"answer"},
                      {}};
  ASSERT_EQ(messageOf(linkSharedLibrary(request, folder.file("link"))), "");
  std::string bytes = readFile(request.output);
  LibrarySeal seal{};
  ASSERT_GT(bytes.size(), sizeof seal);
  size_t size = bytes.size() - sizeof seal;
  std::memcpy(&seal, bytes.data() + size, sizeof seal);
  EXPECT_EQ(seal.magic, kLibrarySealMagic);
  EXPECT_EQ(seal.bytes, size);
  EXPECT_EQ(seal.crc, crc64(bytes.data(), size));
}

TEST(Link, TellsOfOpenSymbols) {
  TemporaryFolder folder;
  LinkRequest request{{{"kernels", makeObject(R"(
      declare float @expf(float)
      declare void @other()
      define void @k() { call float @expf(float 1.0)
        call void @other()
        ret void })")}},
                      folder.file("a.so"),
                      "libx.so",
                      {"k"},
                      {}};
  EXPECT_EQ(messageOf(linkSharedLibrary(request, folder.file("link"))),
            "cannot link 'libx.so': no object defines 'expf' of object "
            "'kernels', 'other' of object 'kernels'");
  request.imports = {"expf", "other"};
  EXPECT_EQ(messageOf(linkSharedLibrary(request, folder.file("link"))), "");
}

TEST(Link, ArchiveHoldsOneObjectWithTheExportsAlone) {
  TemporaryFolder folder;
  std::string first;
  for (const char *name : {"a", "b"}) {
    std::string output = folder.file(std::string(name) + ".a");
    LinkRequest request{{{"one", makeObject(answer)}, {"two", makeObject(R"(
      declare i32 @answer()
      define i32 @again() { %r = call i32 @answer()
        ret i32 %r })")}},
                        output,
                        "x.o",
                        {"again"},
                        {}};
    ASSERT_EQ(messageOf(linkArchive(request, folder.file("link"))), "");
    EXPECT_FALSE(std::filesystem::exists(folder.file("link")));
    std::string bytes = readFile(output);
    auto archive = llvm::object::Archive::create({bytes, "x.a"});
    ASSERT_EQ(messageOf(archive.takeError()), "");
    std::vector<std::string> symbols;
    for (const llvm::object::Archive::Symbol &symbol : (*archive)->symbols())
      symbols.push_back(symbol.getName().str());
    EXPECT_EQ(symbols, std::vector<std::string>{"again"});
    if (first.empty())
      first = bytes;
    EXPECT_EQ(bytes, first) << "archives differ";
  }
}

TEST(Link, ArchiveTellsOfOpenSymbols) {
  TemporaryFolder folder;
  LinkRequest request{{{"kernels", makeObject(R"(
      declare void @other()
      define void @k() { call void @other()
        ret void })")}},
                      folder.file("x.a"),
                      "x.o",
                      {"k"},
                      {}};
  EXPECT_EQ(messageOf(linkArchive(request, folder.file("link"))),
            "cannot link 'x.o': no object defines 'other' of object 'kernels'");
  EXPECT_FALSE(std::filesystem::exists(folder.file("x.a")));
}

TEST(Link, PassesOnWhatTheLinkerSays) {
  TemporaryFolder folder;
  LinkRequest request{
      {{"one", makeObject(answer)}, {"two", makeObject(answer)}},
      folder.file("a.so"),
      "libx.so",
      {"answer"},
      {}};
  std::string message =
      messageOf(linkSharedLibrary(request, folder.file("link")));
  EXPECT_NE(message.find("cannot link 'libx.so': ld.lld: error: duplicate "
                         "symbol: answer"),
            std::string::npos)
      << message;
  EXPECT_FALSE(std::filesystem::exists(folder.file("a.so")));
  // And it can still be used.
  request.objects.pop_back();
  EXPECT_EQ(messageOf(linkSharedLibrary(request, folder.file("link"))), "");
  request.objects = {{"text", "no object"}};
  EXPECT_NE(messageOf(linkSharedLibrary(request, folder.file("link")))
                .find("cannot link 'libx.so': object 'text': "),
            std::string::npos);
}
