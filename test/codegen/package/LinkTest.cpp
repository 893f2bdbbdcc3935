//===-- LinkTest.cpp - LLD in process -------------------------------------===//
#include "codegen/package/Link.h"
#include "test/codegen/package/Support.h"
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
